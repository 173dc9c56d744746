import { createPool } from '../../adapters/postgres/pool.js';
import { connectTemporal } from '../../adapters/temporal/connection.js';
import { createWorker } from '../../workers/create-worker.js';
import { activitiesOn } from './activities.js';

/** A purchase worker as a process of its own, so that a test can kill it: argv is [database URL, Temporal address, task queue]. */
const [databaseUrl = '', address = '', taskQueue = ''] = process.argv.slice(2);
const temporal = await connectTemporal({ address, namespace: 'default', patienceMs: 10_000 });
const worker = await createWorker({
  connection: temporal.connection,
  namespace: temporal.namespace,
  taskQueue,
  activities: activitiesOn(createPool(databaseUrl, 4)),
  shutdownGraceMs: 1_000,
});
await worker.ended;
