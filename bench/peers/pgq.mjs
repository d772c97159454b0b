// PgQ: an event in a log, without a key; the scenario makes the queue.
// @ts-check
import { pool } from './common.mjs';

export async function open() {
  const connections = pool();
  return {
    enqueue: (key, payload) => connections.query({ name: 'enqueue', text: "SELECT pgq.insert_event('order', 'order', $1)", values: [payload] }),
  };
}
