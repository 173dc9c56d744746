import type { Kafka, KafkaMessage } from 'kafkajs';
import { deadLetterTopic } from '../../contracts/event-messages.js';
import { DEAD_LETTER_HEADERS } from './dead-letters.js';
import { within } from './deadline.js';
import { partitionsBehind, type PartitionBehind } from './lag.js';
import type { Publisher } from './publisher.js';

export interface WaitingLetter {
  partition: number;
  offset: string;
  at: string;
  reason: string;
  detail: string;
  /** topic/partition/offset it was put aside from */
  source: string;
  key: string | null;
  value: string | null;
}

export interface RedriveOptions {
  kafka: Kafka;
  /** Its offsets say which letters were driven again */
  groupId: string;
  /** The topic that the letters came from and go back to */
  topic: string;
  sessionTimeoutMs: number;
}

/** Without any message for that long, the brokers count as gone. */
const SILENCE_MS = 30_000;

/** The letters that nobody has driven again, oldest first, at most `limit`. Changes nothing. */
export async function listDeadLetters(options: RedriveOptions, limit: number): Promise<WaitingLetter[]> {
  const letters: WaitingLetter[] = [];
  await readWaiting(options, {
    groupId: `${options.groupId}-list-${Date.now()}`,
    commit: false,
    take: async (messages, partition) => {
      for (const message of messages) if (letters.length < limit) letters.push(describe(message, partition));
      return letters.length < limit;
    },
  });
  return letters;
}

/**
 * Sends the waiting letters to their topic again and remembers how far it came. Only those that were there at the beginning: one
 * that cannot be stored now either comes back as a new letter. @returns how many
 */
export async function redriveDeadLetters(options: RedriveOptions, publisher: Publisher): Promise<number> {
  let driven = 0;
  await readWaiting(options, {
    groupId: options.groupId,
    commit: true,
    take: async (messages) => {
      await publisher.publish(options.topic, messages.map(asItCame));
      driven += messages.length;
      return true;
    },
  });
  return driven;
}

const OURS = new Set<string>(Object.values(DEAD_LETTER_HEADERS));

const asItCame = ({ key, value, headers = {} }: KafkaMessage) => ({
  key,
  value,
  headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !OURS.has(name))),
});

function describe({ offset, key, value, headers = {} }: KafkaMessage, partition: number): WaitingLetter {
  const header = (name: keyof typeof DEAD_LETTER_HEADERS) => String(headers[DEAD_LETTER_HEADERS[name]] ?? '?');
  return {
    partition,
    offset,
    at: header('at'),
    reason: header('reason'),
    detail: header('detail'),
    source: `${header('topic')}/${header('partition')}/${header('offset')}`,
    key: key?.toString('utf8') ?? null,
    value: value?.toString('utf8') ?? null,
  };
}

interface Reading {
  groupId: string;
  /** Whether what was taken counts as dealt with */
  commit: boolean;
  /** @returns whether to go on */
  take(messages: readonly KafkaMessage[], partition: number): Promise<boolean>;
}

/** Reads what waits now, and ends. */
async function readWaiting(
  { kafka, topic: source, groupId: redriveGroup, sessionTimeoutMs }: RedriveOptions,
  reading: Reading,
): Promise<void> {
  const topic = deadLetterTopic(source);
  const admin = kafka.admin();
  const consumer = kafka.consumer({
    groupId: reading.groupId,
    sessionTimeout: sessionTimeoutMs,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
    retry: { restartOnFailure: () => Promise.resolve(false) },
  });
  try {
    await admin.connect();
    const left = new Map((await partitionsBehind(admin, redriveGroup, topic)).filter(isBehind).map((one) => [one.partition, one]));
    if (left.size === 0) return;
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await untilRead(consumer, topic, left, reading);
  } finally {
    await consumer.disconnect();
    if (!reading.commit) await admin.deleteGroups([reading.groupId]).catch(() => undefined);
    await admin.disconnect();
  }
}

const isBehind = ({ from, to }: PartitionBehind) => from < to;

function untilRead(
  consumer: ReturnType<Kafka['consumer']>,
  topic: string,
  left: Map<number, PartitionBehind>,
  { take, commit }: Reading,
): Promise<void> {
  let progress: () => void = () => undefined;
  const read = new Promise<void>((resolve, reject) => {
    let timer: NodeJS.Timeout;
    progress = () => {
      clearTimeout(timer);
      timer = setTimeout(() => reject(new Error(`no message of ${topic} within ${SILENCE_MS} ms`)), SILENCE_MS);
      if (left.size > 0) return;
      clearTimeout(timer);
      resolve();
    };
    progress();
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      clearTimeout(timer);
      reject(payload.error);
    });
    const eachBatch: Parameters<typeof consumer.run>[0] = {
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, uncommittedOffsets, heartbeat }) => {
        const wanted = left.get(batch.partition);
        const messages = batch.messages.filter(({ offset }) => wanted && BigInt(offset) >= wanted.from && BigInt(offset) < wanted.to);
        const goOn = messages.length === 0 || (await take(messages, batch.partition));
        resolveOffset(batch.lastOffset());
        const end = messages.at(-1);
        if (commit && end) await commitOffsetsIfNecessary(uncommittedOffsets());
        await heartbeat();
        if (wanted && BigInt(batch.lastOffset()) + 1n >= wanted.to) left.delete(batch.partition);
        if (!goOn) left.clear();
        progress();
      },
    };
    consumer.run(eachBatch).catch(reject);
    for (const { partition, from } of left.values()) consumer.seek({ topic, partition, offset: String(from) });
  });
  return within(SILENCE_MS * 20, `reading ${topic}`, read);
}
