import type { ConsumptionRequest } from '../../activities/consumption-ports.js';
import { createPool } from '../../adapters/postgres/pool.js';
import { connectTemporal } from '../../adapters/temporal/connection.js';
import { startLine } from './batches.js';

/** A process that takes batches and is then killed: argv is [database URL, Temporal address, task queue, batches as JSON]. */
const [databaseUrl = '', address = '', taskQueue = '', batches = '{}'] = process.argv.slice(2);
const temporal = await connectTemporal({ address, namespace: 'default', patienceMs: 10_000 });
const line = await startLine({ database: createPool(databaseUrl, 4), temporal, taskQueue });
for (const [batchId, requests] of Object.entries(JSON.parse(batches) as Record<string, ConsumptionRequest[]>)) {
  await line.begin(requests, { batchId });
}
await line.worker.ended;
