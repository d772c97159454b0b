// Hand-written SQL: an INSERT ON CONFLICT DO NOTHING to enqueue (the table of P1), SKIP LOCKED in
// batches of 500 to work (the table of P7).
// @ts-check
import { pool, truth } from './common.mjs';

const ENQUEUE = `INSERT INTO baseline (workflow, payload, key) VALUES ('order', $1, $2)
  ON CONFLICT (workflow, key) DO NOTHING RETURNING run_id`;
const CLAIM = `UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = clock_timestamp() + interval '5 minutes', worker = 'w'
  WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND run_at <= clock_timestamp() ORDER BY priority, run_at, id LIMIT 500 FOR UPDATE SKIP LOCKED)
  RETURNING id, payload, attempt`;
const COMPLETE = `UPDATE job SET state = 'completed', result = '{"ok": true}', finished_at = clock_timestamp(), lease_until = NULL
  WHERE id = ANY ($1::uuid[]) AND state = 'running'`;

export async function open() {
  const connections = pool();

  async function worker(began) {
    for (;;) {
      const { rows } = await connections.query({ name: 'claim', text: CLAIM });
      if (rows.length === 0) return;
      rows.forEach(({ payload }) => began(payload));
      await connections.query({ name: 'complete', text: COMPLETE, values: [rows.map(({ id }) => id)] });
    }
  }

  return {
    enqueue: (key, payload) => connections.query({ name: 'enqueue', text: ENQUEUE, values: [payload, key] }),
    add: (n) => connections.query("INSERT INTO job (payload) SELECT jsonb_build_object('i', i) FROM generate_series(1, $1::integer) i", [n]),
    work: async (began) => {
      const workers = [worker(began), worker(began)];
      return () => Promise.all(workers);
    },
    left: () => truth(connections, "SELECT EXISTS (SELECT FROM job WHERE state = 'running')"),
  };
}
