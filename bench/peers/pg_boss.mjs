// pg-boss: singletonKey with a slot of a day, so that a key holds after its job has been completed.
// @ts-check
import PgBoss from 'pg-boss';
import { pool, truth } from './common.mjs';

const QUEUE = 'order';

export async function open() {
  const connections = pool();
  const boss = new PgBoss({ host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER, max: 10,
    schedule: false, archiveCompletedAfterSeconds: 2 * 24 * 3600 });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE);

  return {
    enqueue: (key, payload) => boss.send(QUEUE, payload, { singletonKey: key, singletonHours: 24 }),
    add: async (n) => {
      for (let done = 0; done < n; done += 1000) {
        await boss.insert(Array.from({ length: Math.min(1000, n - done) }, (_, i) => ({ name: QUEUE, data: { i } })));
      }
    },
    work: async (began, drain) => {
      const ids = [];
      for (let i = 0; i < (drain ? 2 : 1); i++) {
        ids.push(await boss.work(QUEUE, { batchSize: 500, pollingIntervalSeconds: 0.5 }, async (jobs) => {
          jobs.forEach(({ data }) => began(data));
          boss.notifyWorker(ids[i]);              // there may be more: not to wait for the next poll
        }));
      }
      return () => Promise.all(ids.map((id) => boss.offWork({ id })));
    },
    left: () => truth(connections, "SELECT EXISTS (SELECT FROM pgboss.job WHERE state < 'completed')"),
  };
}
