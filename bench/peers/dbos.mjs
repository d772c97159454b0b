// DBOS: workflows enqueued by its client, the key as the workflow's id.
// @ts-check
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import { each, pool, truth, url } from './common.mjs';

const QUEUE = 'orders';

export async function open() {
  const connections = pool();
  let report = (payload) => {};
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url(), logLevel: 'error' });
  DBOS.registerWorkflow(async (payload) => report(payload), { name: 'order' });
  await DBOS.launch();
  await DBOS.registerQueue(QUEUE, { workerConcurrency: 100, minPollingIntervalMs: 10 });
  await DBOS.shutdown();
  const client = await DBOSClient.create({ systemDatabaseUrl: url() });
  const enqueue = (key, payload) => client.enqueue({ queueName: QUEUE, workflowName: 'order', workflowID: key }, payload);

  return {
    enqueue,
    add: (n) => each(n, (i) => enqueue(undefined, { i })),
    work: async (began) => {
      report = began;
      await DBOS.launch();
      return () => DBOS.shutdown();
    },
    left: () => truth(connections, "SELECT EXISTS (SELECT FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING'))"),
  };
}
