// graphile-worker: job_key in its default mode, in which a duplicate replaces the job.
// @ts-check
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { pool, truth } from './common.mjs';

export async function open() {
  const pgPool = pool();
  const logger = new Logger(() => () => {});     // it writes a line for each job
  const utils = await makeWorkerUtils({ pgPool, logger });
  await utils.migrate();

  return {
    enqueue: (key, payload) => utils.addJob('order', payload, { jobKey: key }),
    add: (n) => utils.addJobs(Array.from({ length: n }, (_, i) => ({ identifier: 'order', payload: { i } }))),
    work: async (began, drain) => {
      const runner = await run({
        pgPool, logger, noHandleSignals: true,
        // what its page on performance proposes for many short jobs, and its defaults for a quick start
        preset: { worker: drain ? { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0 } : { concurrentJobs: 24 } },
        taskList: { order: async (payload) => began(payload) },
      });
      return () => runner.stop();
    },
    left: () => truth(pgPool, 'SELECT EXISTS (SELECT FROM graphile_worker.jobs)'),
  };
}
