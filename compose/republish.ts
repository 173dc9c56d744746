import type { UsageSink } from '../activities/ports.js';
import { endedUsage } from '../adapters/postgres/ended-usage.js';
import { createPool, type Database } from '../adapters/postgres/pool.js';
import type { UsageEvent } from '../contracts/events.js';
import { ConfigError, type Config } from '../config.js';
import { withDatabaseUrl } from '../embedded/borrow-postgres.js';
import { createLogger } from '../telemetry/log.js';
import { hasKafka, kafkaSinks, openPublisher } from './kafka.js';
import { openUsageStore } from './usage-store.js';

export interface RepublishOptions {
  /** ISO-8601; of the time at which consumptions ended */
  from: string;
  to?: string | undefined;
}

/**
 * The remedy of a breach of invariant 3: publishes the usage of every consumption that ended in the span, the way the workflows do.
 * Events are idempotent by id, so that those which are stored stay as they are; repeating it does no harm.
 */
export async function republishUsage(config: Config, options: RepublishOptions): Promise<number> {
  const span = { from: timeOf('--from', options.from), to: options.to === undefined ? new Date() : timeOf('--to', options.to) };
  if (span.from >= span.to) throw new ConfigError('--from must be before --to');
  return withDatabaseUrl(config, async (url) => {
    const pool = createPool(url, 1);
    const { sink, close } = openSink(config, pool);
    try {
      return await republish(pool, sink, span);
    } finally {
      await close();
      await pool.end();
    }
  });
}

export async function republish(db: Database, sink: UsageSink, span: { from: Date; to: Date }): Promise<number> {
  let published = 0;
  for await (const events of endedUsage(db, span)) {
    await sink.publish(events satisfies UsageEvent[]);
    published += events.length;
  }
  return published;
}

function openSink(config: Config, pool: Database): { sink: UsageSink; close: () => Promise<unknown> } {
  if (hasKafka(config)) {
    const publisher = openPublisher(config, createLogger('error'));
    return { sink: kafkaSinks(config, publisher).usage, close: () => publisher.close() };
  }
  const { sink, close } = openUsageStore(config, () => pool);
  return { sink, close };
}

function timeOf(option: string, text: string): Date {
  const time = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(time.getTime())) throw new ConfigError(`${option}: ${text} is no ISO-8601 time`);
  return time;
}
