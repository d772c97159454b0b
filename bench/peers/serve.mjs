#!/usr/bin/env node
// One contender, told what to measure.
//
//   PGHOST=... PGDATABASE=... node serve.mjs CONTENDER
//
// Reads commands and writes answers, a line of JSON each; an answer begins with
// "@", because the libraries may print, too.  CONTENDER is a file beside this
// one.  Its open() gives an object with what it can do:
//
//   enqueue(key, payload)   one call, as a client makes it
//   add(n)                  n jobs as quickly as it can; nobody works on them yet
//   work(began, drain)      start a worker that calls began(payload) at the start
//                           of each job; drain: set for many jobs, not for a quick
//                           start.  Gives a function that stops it.
//   left()                  are there jobs that have not been completed?
//
// or, where jobs begin in the server, drain(n) and latency(seconds, rate).
// @ts-check
import { createInterface } from 'node:readline';
import { randomUUID } from 'node:crypto';
import { analyze, pause, paced } from './common.mjs';

const [name] = process.argv.slice(2);

/** Calls a second of so many clients, each of which waits for its answer. */
async function rate(clients, seconds, call) {
  const begin = performance.now();
  const end = begin + seconds * 1000;
  let calls = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < end) {
      await call();
      calls++;
    }
  }));
  return calls / ((performance.now() - begin) / 1000);
}

/** Jobs a second, from the start of the first to the completion of the last. */
async function drain(contender, jobs) {
  await contender.add(jobs);
  await analyze();
  let first = 0;
  let begun = 0;
  /** @type {(value?: unknown) => void} */
  let all;
  const everything = new Promise((done) => { all = done; });
  const stop = await contender.work(() => {
    first ||= performance.now();
    if (++begun === jobs) all();
  }, true);
  await everything;
  while (await contender.left()) await pause(1);
  const seconds = (performance.now() - first) / 1000;
  await stop();
  return jobs / seconds;
}

/** Milliseconds from the call that enqueues to the job's start. */
async function latency(contender, seconds, perSecond) {
  const called = [];
  const waits = [];
  let warm = 0;
  const stop = await contender.work(({ i }) => {
    if (i < 0) warm++;
    else waits.push(performance.now() - called[i]);
  }, false);
  for (let i = 1; i <= 20; i++) await contender.enqueue(randomUUID(), { i: -i });   // connections, plans, compiled code
  while (warm < 20) await pause(1);
  await paced(seconds, perSecond, (i) => {
    called[i] = performance.now();
    return contender.enqueue(randomUUID(), { i });
  });
  while (waits.length < called.length) await pause(1);
  await stop();
  return waits;
}

const commands = {
  'new key': (contender, { clients, seconds, payload }) =>
    rate(clients, seconds, () => contender.enqueue(randomUUID(), payload)),
  keep: async (contender, { keys, payload }) => {
    for (let i = 0; i < keys; i++) await contender.enqueue(`kept-${i}`, payload);
  },
  duplicate: (contender, { clients, seconds, keys, payload }) =>
    rate(clients, seconds, () => contender.enqueue(`kept-${Math.floor(Math.random() * keys)}`, payload)),
  drain: (contender, { jobs }) => (contender.drain ? contender.drain(jobs) : drain(contender, jobs)),
  latency: (contender, { seconds, rate: perSecond }) =>
    (contender.latency ? contender.latency(seconds, perSecond) : latency(contender, seconds, perSecond)),
};

/** Answer. */
function say(answer) {
  process.stdout.write(`\n@${JSON.stringify(answer)}\n`);
}

try {
  const { open } = await import(`./${name}.mjs`);
  const contender = await open();
  say({ ok: null });
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    say({ ok: (await commands[command.do](contender, command)) ?? null });
  }
  process.exit(0);
} catch (error) {
  console.error(error);
  say({ failed: String(error?.message || error) });
  process.exit(1);
}
