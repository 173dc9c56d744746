import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import type { Admin, Kafka } from 'kafkajs';
import type { Gauge } from 'prom-client';
import type { Logger } from '../../telemetry/log.js';
import { within } from './deadline.js';

export interface Watched {
  groupId: string;
  topic: string;
  gauge: Gauge<'topic'>;
  label: string;
}

export interface LagWatch {
  stop(): Promise<void>;
}

const EVERY_MS = 10_000;
const ANSWER_MS = 8_000;

/**
 * Asks the brokers how far the groups are behind. Not taken from the fetched batches: a consumer that is stuck, or that nobody
 * has started, fetches none.
 */
export function watchLag(kafka: Kafka, watched: readonly Watched[], log: Logger, everyMs = EVERY_MS): LagWatch {
  let admin: Admin | null = null;
  let known = true;
  let asking = Promise.resolve();

  async function ask(): Promise<void> {
    try {
      const connected = (admin ??= kafka.admin({ retry: { retries: 1 } }));
      await within(ANSWER_MS, 'the lag of the consumers', measure(connected, watched));
      known = true;
    } catch (error) {
      watched.forEach(({ gauge, label }) => gauge.remove({ topic: label }));
      if (known) log.warn({ err: error }, 'the lag of the consumers is not known');
      known = false;
      await forget();
    }
  }
  async function forget(): Promise<void> {
    const last = admin;
    admin = null;
    await last?.disconnect().catch(() => undefined);
  }

  let busy = false;
  const tick = () => {
    if (busy) return;
    busy = true;
    asking = ask().finally(() => (busy = false));
  };
  tick();
  const timer = setInterval(tick, everyMs);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await asking;
      await forget();
    },
  };
}

async function measure(admin: Admin, watched: readonly Watched[]): Promise<void> {
  await admin.connect();
  for (const { groupId, topic, gauge, label } of watched) {
    const waiting = await partitionsBehind(admin, groupId, topic);
    const lag = waiting.reduce((sum, { from, to }) => sum + (to - from), 0n);
    gauge.set({ topic: label }, Number(lag));
  }
}

export interface PartitionBehind {
  partition: number;
  /** The first message that the group has not dealt with */
  from: bigint;
  /** After the last message there is */
  to: bigint;
}

/** A coordinator that loads its groups, a leader that was just elected: kafkajs tries neither question again. */
const patience = retry(
  handleWhen((error) => (error as { retriable?: boolean }).retriable === true),
  { maxAttempts: 6, backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 1_000 }) },
);

/** Where a group stands in a topic. Messages that retention has deleted count no more. */
export async function partitionsBehind(admin: Admin, groupId: string, topic: string): Promise<PartitionBehind[]> {
  const [ends, [group]] = await Promise.all([
    patience.execute(() => admin.fetchTopicOffsets(topic)),
    patience.execute(() => admin.fetchOffsets({ groupId, topics: [topic] })),
  ]);
  const committed = new Map(group?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
  return ends.map(({ partition, low, high }) => {
    const [first, end, at] = [BigInt(low), BigInt(high), committed.get(partition) ?? -1n];
    const from = at < first ? first : at;
    return { partition, from: from > end ? end : from, to: end };
  });
}
