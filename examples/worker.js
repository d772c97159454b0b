#!/usr/bin/env node
// A worker in JavaScript, with the driver "pg", for the workflow of worker.sql.
//
//   node worker.js CONNECTION-STRING URL
//
// Claims runs, posts each mail to URL with the run's id as Idempotency-Key, and
// notes in the database that it was sent, in one transaction with the run's
// completion.  SIGTERM and SIGINT end it: what is being sent is finished, what
// is not begun goes back to the queue.
//
// @ts-check
'use strict';
const { Client } = require('pg');

const WORKFLOWS = ['example-mail'];
const LEASE_SECONDS = 30;
const BATCH = 10;
const NAME = `node-${process.pid}`;
const [connectionString, url] = process.argv.slice(2);

/** @typedef {{run_id: string, payload: {to: string}, attempt: number}} Run */

/** @type {Map<string, Run>} runs whose leases are to be renewed */
const inHand = new Map();
let stopping = false;

const sleep = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

/** Connect, again and again if need be, with a growing pause. */
async function connect() {
  for (let pause = 100; !stopping; pause = Math.min(pause * 2, 10_000)) {
    const client = new Client({ connectionString, application_name: NAME });
    client.on('error', () => {}); // the next query says so, too
    try {
      await client.connect();
      return client;
    } catch (error) {
      await sleep(pause);
    }
  }
  return null;
}

/** Renew the leases of the runs in hand. */
async function beat(/** @type {import('pg').Client} */ client) {
  for (const run of [...inHand.values()]) {
    try {
      await client.query('SELECT wf_heartbeat($1, $2)', [run.run_id, run.attempt]);
    } catch (error) {
      if (error.code === 'WF004') inHand.delete(run.run_id);
    }
  }
}

/** The effect outside the database. */
async function send(/** @type {Run} */ run) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': run.run_id },
    body: JSON.stringify(run.payload),
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) throw new Error(`the receiver answered ${answer.status}`);
  return answer.status;
}

async function work(/** @type {import('pg').Client} */ client, /** @type {Run} */ run) {
  try {
    const status = await send(run);
    await client.query('BEGIN');
    await client.query(
      'INSERT INTO example_mail.sent (run_id, recipient, worker) VALUES ($1, $2, $3)',
      [run.run_id, run.payload.to, NAME]);
    await client.query('SELECT wf_complete($1, $2, $3)', [run.run_id, run.attempt, { status }]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK'); // throws where the connection is gone: then the lease ends
    if (error.code === 'WF004') throw error;
    await client.query('SELECT wf_fail($1, $2, $3)', [run.run_id, run.attempt, String(error.message)]);
  }
}

/** Wait, claim, work, until told to stop; throws where the connection breaks. */
async function serve(/** @type {import('pg').Client} */ client) {
  while (!stopping) {
    // the server wakes us; the time-out is for signals
    const { rows: [{ ready }] } = await client.query("CALL wf_wait_for_work($1, '1 second')", [WORKFLOWS]);
    if (!ready) continue;
    const { rows } = await client.query('SELECT run_id, payload, attempt FROM wf_claim($1, $2, $3, $4)',
      [WORKFLOWS, BATCH, `${LEASE_SECONDS} seconds`, NAME]);
    rows.forEach((run) => inHand.set(run.run_id, run));
    for (const run of rows) {
      try {
        if (stopping) await client.query('SELECT wf_release($1, $2)', [run.run_id, run.attempt]);
        else await work(client, run);
      } catch (error) {
        if (error.code !== 'WF004') throw error;
        console.error(`${NAME}: run ${run.run_id} is somebody else's now`);
      }
      inHand.delete(run.run_id);
    }
  }
}

/** One connection to work with and one for heartbeats, until either breaks. */
async function session() {
  const client = await connect();
  const other = client && await connect();
  const broken = new Promise((_, fail) => other && other.on('error', fail));
  const heart = other && setInterval(() => beat(other), (LEASE_SECONDS * 1000) / 3);
  try {
    if (client && other) await Promise.race([serve(client), broken]);
  } finally {
    clearInterval(heart);
    inHand.clear(); // nobody works on them any more: let their leases end
    await Promise.allSettled([client && client.end(), other && other.end()]);
  }
}

async function main() {
  // a signal only says so: what is being sent is finished first
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopping = true; });
  while (!stopping) {
    try {
      await session();
    } catch (error) {
      console.error(`${NAME}: ${error.message}`);
      await sleep(100);
    }
  }
}

main();
