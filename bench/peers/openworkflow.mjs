// openworkflow, with its idempotencyKey.
// @ts-check
import { OpenWorkflow } from 'openworkflow';
import { BackendPostgres } from 'openworkflow/postgres';
import { each, pool, truth } from './common.mjs';

export async function open() {
  const connections = pool();
  let report = (payload) => {};
  const backend = await BackendPostgres.connect('postgresql:///')   // its driver takes the socket from PGHOST alone;
  const workflows = new OpenWorkflow({ backend });
  const order = workflows.defineWorkflow({ name: 'order' }, async ({ input }) => { report(input); });

  return {
    enqueue: (key, payload) => order.run(payload, { idempotencyKey: key }),
    add: (n) => each(n, (i) => order.run({ i })),
    work: async (began) => {
      report = began;
      const worker = workflows.newWorker({ concurrency: 64 });
      await worker.start();
      return () => worker.stop();
    },
    left: () => truth(connections, "SELECT EXISTS (SELECT FROM openworkflow.workflow_runs WHERE status IN ('pending', 'running', 'sleeping'))"),
  };
}
