// A look-up by primary key: what a duplicate is compared with.
// @ts-check
import { pool } from './common.mjs';

export async function open() {
  const connections = pool();
  await connections.query('CREATE TABLE lookup (key text COLLATE "C" PRIMARY KEY, run_id uuid NOT NULL DEFAULT gen_random_uuid(), state text NOT NULL)');
  await connections.query("INSERT INTO lookup (key, state) SELECT 'kept-' || i, 'queued' FROM generate_series(0, 9999) i");
  return {
    enqueue: (key) => connections.query({ name: 'look up', text: 'SELECT run_id, state FROM lookup WHERE key = $1', values: [key] }),
  };
}
