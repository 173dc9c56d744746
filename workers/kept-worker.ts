import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../telemetry/log.js';
import { Restarts, type RestartLimits } from '../platform/restarts.js';
import { createWorker, type CreateWorkerOptions, type RunningWorker } from './create-worker.js';

const LIMITS: RestartLimits = { most: 10, windowMs: 600_000, firstDelayMs: 200, longestDelayMs: 10_000 };

/**
 * A worker whose core gives up, because its server was away for long or answered what it did not expect, is made anew: its end
 * would else be that of the process, with every call in flight. After ten ends in ten minutes `ended` rejects.
 */
export async function keepWorker(
  log: Logger,
  options: CreateWorkerOptions,
  create = createWorker,
  limits = LIMITS,
): Promise<RunningWorker> {
  const restarts = new Restarts(limits);
  const stopping = new AbortController();
  let current = await create(options);
  const { taskQueue } = options;

  const renew = async (fault: unknown): Promise<void> => {
    for (let error = fault; !stopping.signal.aborted;) {
      const wait = restarts.next();
      if (wait === null) throw error;
      log.error({ err: error, taskQueue }, 'a worker has ended; it is made anew');
      await delay(wait, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        current = await create(options);
        log.info({ taskQueue }, 'the worker runs again');
        return;
      } catch (again) {
        error = again;
      }
    }
  };
  const ended = (async () => {
    while (!stopping.signal.aborted) {
      const fault = await current.ended.then(
        () => null,
        (error: unknown) => ({ error }),
      );
      if (fault === null || stopping.signal.aborted) return;
      await renew(fault.error);
    }
  })();
  ended.catch(() => undefined);
  return {
    taskQueue,
    ended,
    polled: () => current.polled(),
    async stop() {
      stopping.abort();
      await current.stop();
      await ended;
    },
  };
}
