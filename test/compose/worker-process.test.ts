import assert from 'node:assert/strict';
import { freePort } from '../../embedded/ports.js';
import { eventually } from '../support/eventually.js';
import { startLeaky, type LeakyService } from '../support/leaky-service.js';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';

describe('leaky worker', function () {
  this.timeout(90_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let worker: LeakyService;
  let url = '';

  before(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    worker = startLeaky('worker', {
      LEAKY_WORKER_PORT: String(port),
      LEAKY_POSTGRES_URL: database().url,
      LEAKY_TEMPORAL_ADDRESS: temporal().address,
      LEAKY_SHUTDOWN_DELAY_MS: '500',
    });
  });
  after(async () => {
    worker.process.kill('SIGKILL');
    await worker.ended;
  });

  const probe = async (name: string): Promise<{ status: number; checks?: Record<string, string> } | null> => {
    try {
      const response = await fetch(`${url}/health/${name}`);
      return { ...((await response.json()) as object), status: response.status };
    } catch {
      return null;
    }
  };

  it('answers probes before its workers poll, and is ready once they do', async () => {
    await eventually('it lives', async () => (await probe('live'))?.status === 200, 30_000);
    await eventually('it has started', async () => (await probe('startup'))?.status === 200, 30_000);
    const ready = await probe('ready');
    assert.deepEqual(ready?.checks, { postgres: 'ok', temporal: 'ok', queues: 'ok' });
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^process_cpu_seconds_total/m);
    assert.equal((await fetch(`${url}/anything`)).status, 404);
  });

  it('takes itself out of service, stops polling and ends with code 0', async () => {
    worker.process.kill('SIGTERM');
    await eventually('it is not ready any more', async () => (await probe('ready'))?.status === 503);
    assert.equal((await probe('ready'))?.checks?.process, 'is about to end');
    assert.equal((await probe('live'))?.status, 200);
    assert.equal((await probe('startup'))?.status, 200);
    assert.equal(await worker.ended, 0);
  });
});
