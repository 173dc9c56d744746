import type { ServiceName } from '../api/gateway/ports.js';
import type { Checks } from '../api/http/health.js';
import type { RunningServer, RunningService } from '../api/http/service.js';
import type { RunningWorker } from '../workers/create-worker.js';
import type { Resources } from './resources.js';

/** One deployable part: what `leaky <name>` runs, and `leaky start` all of. */
export interface Service {
  name: string;
  /** Rejects when the part can't go on */
  ended?: Promise<void>;
  /** Whether it takes work; a part with a server of its own answers for itself */
  checks?: Checks;
  /** Tells whoever sends work here to stop; it goes on taking what still comes */
  leave?(): Promise<void>;
  /** Takes no more work and finishes what it has, within the configured grace */
  stop(): Promise<void>;
}

export type Compose = (resources: Resources) => Promise<Service>;

export function serverPart(name: string, server: Pick<RunningServer, 'close'>, { config }: Resources): Service {
  return { name, stop: () => server.close(config.shutdownGraceMs) };
}

/** A service behind the gateway: one in the same process calls it without a hop. */
export function servicePart(name: ServiceName, server: RunningService, resources: Resources): Service {
  resources.local.set(name, server.inner);
  return serverPart(name, server, resources);
}

const leaving = (parts: readonly Service[]) => async (): Promise<void> => {
  await Promise.all(parts.map(async (part) => part.leave?.()));
};

export function workerPart(worker: RunningWorker): Service {
  const name = `worker of ${worker.taskQueue}`;
  return { name, ended: worker.ended, checks: { [name]: () => worker.polled() }, stop: () => worker.stop() };
}

/** Starts, and stops, at the same time what does not need each other. */
export const together =
  (name: string, composed: readonly Compose[]): Compose =>
  async (resources) => {
    const outcomes = await Promise.allSettled(composed.map((compose) => compose(resources)));
    const parts = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const started: Service = {
      name,
      ended: Promise.race(parts.flatMap((part) => part.ended ?? [])),
      checks: Object.assign({}, ...parts.map((part) => part.checks)) as Checks,
      leave: leaving(parts),
      stop: () => allStopped(parts.map((part) => part.stop())),
    };
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failure) return started;
    await started.stop();
    throw failure.reason;
  };

/** Waits for all also when one does not stop well: what they share is closed after them, and the others would still use it. */
async function allStopped(stops: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(stops)).find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Several parts as one; the last one stops first. */
export function group(name: string, parts: readonly Service[]): Service {
  return {
    name,
    ended: Promise.race(parts.flatMap((part) => part.ended ?? [])),
    leave: leaving(parts),
    stop: async () => {
      const faults: unknown[] = [];
      for (const part of parts.toReversed()) await part.stop().catch((error: unknown) => faults.push(error));
      if (faults.length > 0) throw faults[0];
    },
  };
}
