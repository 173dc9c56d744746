import assert from 'node:assert/strict';
import { createLogger } from '../../telemetry/log.js';
import type { CreateWorkerOptions, RunningWorker } from '../../workers/create-worker.js';
import { keepWorker } from '../../workers/kept-worker.js';
import { eventually } from '../support/eventually.js';

describe('a worker that ends by itself', () => {
  const log = createLogger('silent');
  const options = { taskQueue: 'queue' } as CreateWorkerOptions;
  const limits = { most: 3, windowMs: 60_000, firstDelayMs: 1, longestDelayMs: 2 };

  /** Workers whose end is in the hand of the test. */
  function workshop() {
    const ends: ((error: Error) => void)[] = [];
    const create = (): Promise<RunningWorker> => {
      let stop = () => {};
      const ended = new Promise<void>((resolve, reject) => {
        stop = resolve;
        ends.push(reject);
      });
      ended.catch(() => undefined);
      return Promise.resolve({ taskQueue: 'queue', ended, polled: () => Promise.resolve(), stop: () => Promise.resolve(stop()) });
    };
    return { ends, create };
  }

  it('is made anew, and stops when it is told to', async () => {
    const { ends, create } = workshop();
    const worker = await keepWorker(log, options, create, limits);
    ends[0]?.(new Error('the core gave up'));
    await eventually('there is another one', () => ends.length === 2);
    await worker.stop();
    await worker.ended;
    assert.equal(ends.length, 2);
  });

  it('too often is given up with its fault', async () => {
    const { ends, create } = workshop();
    const worker = await keepWorker(log, options, create, limits);
    for (let made = 1; made <= 4; made++) {
      await eventually(`worker ${made} is there`, () => ends.length === made);
      ends[made - 1]?.(new Error(`end ${made}`));
    }
    await assert.rejects(worker.ended, /end 4/);
  });
});
