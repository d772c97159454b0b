// A session that notifies and one that listens: what a start is compared with.
// @ts-check
import pg from 'pg';
import { pool } from './common.mjs';

export async function open() {
  const connections = pool();
  return {
    enqueue: (key, payload) => connections.query({ name: 'notify', text: "SELECT pg_notify('begin', $1)", values: [JSON.stringify(payload)] }),
    work: async (began) => {
      const client = new pg.Client();
      await client.connect();
      client.on('notification', ({ payload }) => began(JSON.parse(payload ?? '')));
      await client.query('LISTEN "begin"');
      return () => client.end();
    },
  };
}
