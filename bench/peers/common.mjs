// What several contenders need.
// @ts-check
import pg from 'pg';

/** Connections, as many as any library here has at most; who is meant by PGHOST and so on. */
export const pool = () => new pg.Pool({ max: 10 });

/** A URL for those that want one. */
export const url = ({ PGUSER, PGDATABASE, PGHOST } = process.env) =>
  `postgresql://${PGUSER}@localhost/${PGDATABASE}?host=${encodeURIComponent(PGHOST ?? '')}`;

/** What autovacuum does within a minute or two: plans for empty tables don't do for full ones. */
export async function analyze() {
  const client = new pg.Client();
  await client.connect();
  await client.query('VACUUM ANALYZE');
  await client.end();
}

export const pause = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

/** Call something at random times, so many times a second on average; wait for all of the calls. */
export async function paced(/** @type {number} */ seconds, /** @type {number} */ rate, /** @type {(i: number) => Promise<unknown>} */ call) {
  const calls = [];
  const end = performance.now() + seconds * 1000;
  for (let at = performance.now(), i = 0; at < end; i++) {
    await pause(at - performance.now());
    calls.push(call(i));
    at -= (Math.log(1 - Math.random()) / rate) * 1000;
  }
  await Promise.all(calls);
}

/** Do something for 0 .. n - 1, ten at a time, for libraries that add one at a time. */
export async function each(/** @type {number} */ n, /** @type {(i: number) => Promise<unknown>} */ call) {
  let next = 0;
  await Promise.all(Array.from({ length: 10 }, async () => {
    while (next < n) await call(next++);
  }));
}

/** For a question of a truth value. */
export async function truth(/** @type {pg.Pool} */ connections, /** @type {string} */ question) {
  const { rows: [row] } = await connections.query(question);
  return Object.values(row)[0];
}
