// pg_workflow with an external worker: two loops, each with a connection, in batches of 500.
// @ts-check
import pg from 'pg';
import { pool, truth } from './common.mjs';

const CLAIM = "SELECT run_id, attempt, payload FROM wf_claim('{order}', 500, '5 minutes', 'w')";
const COMPLETE = `SELECT count(wf_complete(i, a, '{"ok": true}')) FROM unnest($1::uuid[], $2::integer[]) AS u (i, a)`;

export async function open() {
  const connections = pool();

  async function worker(began, state) {
    const client = new pg.Client();
    await client.connect();
    while (!state.stopping) {
      await client.query("CALL wf_wait_for_work('{order}', '1 second')");
      for (;;) {
        const { rows } = await client.query({ name: 'claim', text: CLAIM });
        if (rows.length === 0) break;
        rows.forEach(({ payload }) => began(payload));
        await client.query({ name: 'complete', text: COMPLETE, values: [rows.map((r) => r.run_id), rows.map((r) => r.attempt)] });
      }
    }
    await client.end();
  }

  return {
    enqueue: (key, payload) => connections.query({ name: 'enqueue', text: "SELECT wf_enqueue('order', $1, $2)", values: [payload, key] }),
    add: (n) => connections.query(`SELECT count(*) FROM wf_enqueue_many('order',
      (SELECT array_agg(jsonb_build_object('i', i)) FROM generate_series(1, $1::integer) i))`, [n]),
    work: async (began) => {
      const state = { stopping: false };
      const workers = [worker(began, state), worker(began, state)];
      return () => {
        state.stopping = true;
        return Promise.all(workers);
      };
    },
    left: () => truth(connections, "SELECT EXISTS (SELECT FROM wf.stats WHERE workflow = 'order' AND enqueued > completed)"),
  };
}
