// pg_workflow with a handler in SQL, whose result is when it began.
// @ts-check
import { analyze, pool, pause, paced, truth } from './common.mjs';

const LEFT = "SELECT EXISTS (SELECT FROM wf.stats WHERE workflow = 'light' AND enqueued > completed)";

/** What to add to performance.now() for the server's clock in milliseconds: by the quickest answer of several. */
async function offset(connections) {
  const found = [];
  for (let i = 0; i < 50; i++) {
    const asked = performance.now();
    const { rows: [{ now }] } = await connections.query({ name: 'clock', text: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now' });
    const answered = performance.now();
    found.push({ took: answered - asked, offset: now - (asked + answered) / 2 });
  }
  return found.sort((a, b) => a.took - b.took)[0].offset;
}

export async function open() {
  const connections = pool();
  await connections.query(`CREATE FUNCTION begun(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS
    $$BEGIN RETURN to_jsonb(extract(epoch FROM clock_timestamp()) * 1000); END$$`);
  await connections.query("SELECT wf_create_workflow('light', 'begun(jsonb)')");
  const enqueue = (key, payload) => connections.query({ name: 'enqueue', text: "SELECT wf_enqueue('light', $1, $2) AS id", values: [payload, key] });

  return {
    drain: async (jobs) => {
      await connections.query("SELECT wf_pause('light')");
      await connections.query(`SELECT count(*) FROM wf_enqueue_many('light',
        (SELECT array_agg(jsonb_build_object('i', i)) FROM generate_series(1, $1::integer) i))`, [jobs]);
      await analyze();
      const { rows: [{ begin }] } = await connections.query('SELECT clock_timestamp()::text AS begin');
      await connections.query("SELECT wf_resume('light')");
      while (await truth(connections, LEFT)) await pause(20);
      const { rows: [{ rate }] } = await connections.query(`SELECT ($1 / extract(epoch FROM max(finished_at) - min(started_at)))::float8 AS rate
        FROM wf.runs WHERE workflow = 'light' AND started_at >= $2::timestamptz`, [jobs, begin]);
      return rate;
    },
    latency: async (seconds, rate) => {
      for (let i = 0; i < 20; i++) await enqueue(null, { i });
      while (await truth(connections, LEFT)) await pause(20);
      const correction = await offset(connections);
      const called = new Map();
      await paced(seconds, rate, async (i) => {
        const at = performance.now();
        const { rows: [{ id }] } = await enqueue(null, { i });
        called.set(id, at + correction);
      });
      while (await truth(connections, LEFT)) await pause(20);
      const { rows } = await connections.query('SELECT run_id, result FROM wf.runs WHERE run_id = ANY ($1)', [[...called.keys()]]);
      return rows.map(({ run_id, result }) => result - called.get(run_id));
    },
  };
}
