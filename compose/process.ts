import { setTimeout as delay } from 'node:timers/promises';
import { startDraining } from '../api/http/draining.js';
import type { Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import { keepHeapSmall } from './heap.js';
import { reportCertificates, serveMetrics } from './metrics.js';
import { startTracing } from './tracing.js';
import { createResources } from './resources.js';
import type { Compose, Service } from './service.js';
import { hearStrayErrors } from './stray-errors.js';

export interface Lifecycle {
  /** Runs at the end, latest first; may be called at any time before it */
  onStop(action: () => Promise<void>): void;
  /** Ends the process in order, with this exit code. Returns at once; later calls change nothing. */
  stop(reason: string, exitCode: number): void;
  readonly stopping: boolean;
}

/** Package managers hand Ctrl-C on to us although the terminal has sent it already: what comes this soon is the same key press. */
const SAME_KEY_PRESS_MS = 1_000;
const ACTION_TIMEOUT_MS = 60_000;

/**
 * SIGINT and SIGTERM end the process in order; a second one ends it at once (children have watchdogs of their own), and so does
 * `limitMs`, when given: what supervises us would kill us a moment later, without a word.
 */
export function createLifecycle(onMessage: (line: string) => void, onError: (error: unknown) => void, limitMs?: number): Lifecycle {
  const actions: (() => Promise<void>)[] = [];
  let stoppedAt: number | null = null;
  async function end(exitCode: number): Promise<void> {
    let code = exitCode;
    for (let action = actions.pop(); action; action = actions.pop()) {
      await withTimeout(action()).catch((error: unknown) => {
        onError(error);
        code ||= 1;
      });
    }
    process.exit(code);
  }
  const giveUp = (afterMs: number) => {
    onError(new Error(`not stopped within ${afterMs / 1000} s; ending now`));
    process.exit(1);
  };
  const lifecycle: Lifecycle = {
    onStop: (action) => actions.push(action),
    stop(reason, exitCode) {
      if (stoppedAt !== null) return;
      stoppedAt = Date.now();
      onMessage(reason);
      if (limitMs !== undefined) setTimeout(giveUp, limitMs, limitMs).unref();
      void end(exitCode);
    },
    get stopping() {
      return stoppedAt !== null;
    },
  };
  hearStrayErrors(
    (error) => onError(new Error(`an error that nobody listened for: ${error.message}`, { cause: error })),
    (error) => {
      onError(error);
      lifecycle.stop('Stopping: a fault of the program', 1);
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stoppedAt === null) lifecycle.stop('Stopping', 0);
      else if (Date.now() - stoppedAt > SAME_KEY_PRESS_MS) process.exit(130);
    });
  }
  return lifecycle;
}

function withTimeout(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a part did not stop within ${ACTION_TIMEOUT_MS / 1000} s`)), ACTION_TIMEOUT_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export interface RunOptions {
  /** As traces name the process */
  name: string;
  config: Config;
  log: Logger;
  lifecycle: Lifecycle;
  /** Started in this order, stopped in the reverse one */
  parts: readonly Compose[];
}

/** Starts the parts one after the other. When one ends by itself, so does the process: whatever supervises it starts it anew. */
export async function startParts({ name, config, log, lifecycle, parts }: RunOptions): Promise<Service[]> {
  keepHeapSmall();
  const endTracing = await startTracing(config, name, log);
  if (endTracing) lifecycle.onStop(endTracing);
  reportCertificates(config);
  const scraped = await serveMetrics(config);
  if (scraped) {
    lifecycle.onStop(() => scraped.stop());
    log.info({ port: scraped.port }, 'metrics are served');
  }
  const resources = createResources({ config, log });
  lifecycle.onStop(() => resources.close());
  const started: Service[] = [];
  for (const compose of parts) {
    const startingSince = Date.now();
    const service = await compose(resources);
    lifecycle.onStop(async () => {
      const stoppingSince = Date.now();
      await service.stop();
      log.info({ part: service.name, ms: Date.now() - stoppingSince }, 'stopped');
    });
    service.ended?.catch((error: unknown) => {
      log.fatal({ err: error, part: service.name }, 'a part has ended');
      lifecycle.stop(`${service.name} has ended: ${error instanceof Error ? error.message : String(error)}`, 1);
    });
    log.info({ part: service.name, ms: Date.now() - startingSince }, 'started');
    started.push(service);
  }
  // Runs first: nobody is to send new work here, and what is on its way before all have noticed is still taken.
  lifecycle.onStop(async () => {
    startDraining();
    await Promise.all(started.map(async (service) => service.leave?.()));
    await delay(config.shutdownDelayMs);
  });
  return started;
}
