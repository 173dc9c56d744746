import { Partitioners, type Kafka, type Message, type Producer, type RecordMetadata } from 'kafkajs';
import { GroupCommit } from '../../domain/group-commit.js';
import { eventMetrics } from '../../telemetry/event-metrics.js';
import type { Logger } from '../../telemetry/log.js';
import { traced, traceHeaders } from '../../telemetry/tracing.js';
import type { KafkaLimits } from './client.js';
import { within } from './deadline.js';

export interface Publisher {
  /** Resolves when every in-sync replica has the messages; rejects when that is not known. Messages may then be there all the same. */
  publish(topic: string, messages: readonly Message[]): Promise<void>;
  /** Waits for what is on its way */
  close(): Promise<void>;
}

export interface PublisherOptions {
  kafka: Kafka;
  log: Logger;
  /** Name of a topic as metrics show it */
  label?: (topic: string) => string;
}

/**
 * For one send, connecting included. An activity that waits for the send before its own gets its answer within twice that, which
 * has to be less than the 10 s it has.
 */
export const SEND_TIMEOUT_MS = 4_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** The driver's own attempts end within SEND_TIMEOUT_MS or soon after, and with what was wrong rather than with silence. */
export const PUBLISHING_LIMITS = {
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500 },
} satisfies KafkaLimits;
const MAX_MESSAGES = 2_000;
/** A broker takes 1 MB for a partition at a time by default. */
const MAX_BYTES = 900_000;

interface Sending {
  topic: string;
  messages: readonly Message[];
}

/**
 * One idempotent producer (acks=all), one send at a time; what arrives meanwhile shares the next one.
 *
 * Both limits are for safety. kafkajs takes the sequence numbers of a failed send back and gives them to the next one: the
 * broker, if it has the first one after all, drops the next as a repetition, and that send succeeds without having stored
 * anything. So no send may run beside another, and a producer whose send has failed is never used again.
 */
export function createPublisher({ kafka, log, label = (topic) => topic }: PublisherOptions): Publisher {
  let current: Promise<TrackedProducer> | null = null;
  const commits = new GroupCommit<Sending, void>({ write: send, lanes: 1, maxItems: MAX_MESSAGES, maxBytes: MAX_BYTES, bytesOf });
  const pending = new Set<Promise<void>>();

  async function send(sendings: Sending[]): Promise<void[]> {
    const producer = (current ??= connectProducer(kafka));
    const sent = producer.then((tracked) => tracked.send(sendings));
    try {
      await within(SEND_TIMEOUT_MS, 'publishing events', sent);
    } catch (error) {
      current = null;
      eventMetrics.publishFailures.inc();
      log.warn({ err: error, messages: sendings.reduce((sum, { messages }) => sum + messages.length, 0) }, 'events could not be published');
      discard(producer, sent);
      throw error;
    }
    for (const { topic, messages } of sendings) eventMetrics.published.inc({ topic: label(topic) }, messages.length);
    return sendings.map(() => undefined);
  }

  return {
    async publish(topic, messages) {
      if (messages.length === 0) return;
      const attributes = { 'messaging.system': 'kafka', 'messaging.batch.message_count': messages.length };
      const submitted = traced(`publish ${label(topic)}`, { kind: 'producer', attributes }, () =>
        commits.submit({ topic, messages: withTrace(messages) }),
      );
      pending.add(submitted);
      await submitted.finally(() => pending.delete(submitted));
    },
    async close() {
      await Promise.allSettled(pending);
      const last = current;
      current = null;
      await last?.then((tracked) => tracked.disconnect()).catch(() => undefined);
    },
  };
}

/** A message that was consumed and goes on, as a dead letter does, keeps the trace it came with. */
function withTrace(messages: readonly Message[]): readonly Message[] {
  const trace = traceHeaders();
  if (trace['traceparent'] === undefined) return messages;
  return messages.map((message) => ({ ...message, headers: { ...trace, ...message.headers } }));
}

/** Only after its attempts have ended: kafkajs would connect a disconnected producer again for the next one. */
function discard(producer: Promise<TrackedProducer>, sent: Promise<void>): void {
  void sent
    .catch(() => undefined)
    .then(() => producer)
    .then((tracked) => tracked.disconnect())
    .catch(() => undefined);
}

interface TrackedProducer {
  send(sendings: Sending[]): Promise<void>;
  disconnect(): Promise<void>;
}

/**
 * Knows which partitions a send went to, and takes it for done only when each of them has answered: when a partition moves to a
 * broker that has answered for others already, a retry of kafkajs leaves it out and succeeds.
 */
async function connectProducer(kafka: Kafka): Promise<TrackedProducer> {
  const choose = Partitioners.DefaultPartitioner();
  const chosen = new Set<string>();
  const producer: Producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: () => (args) => {
      const partition = choose(args);
      chosen.add(partitionName(args.topic, partition));
      return partition;
    },
    retry: PUBLISHING_LIMITS.retry,
  });
  try {
    await producer.connect();
  } catch (error) {
    await producer.disconnect().catch(() => undefined);
    throw error;
  }
  return {
    async send(sendings) {
      chosen.clear();
      const topicMessages = sendings.map(({ topic, messages }) => ({ topic, messages: [...messages] }));
      requireAnswers(chosen, await producer.sendBatch({ acks: -1, timeout: REQUEST_TIMEOUT_MS, topicMessages }));
    },
    disconnect: () => producer.disconnect(),
  };
}

const partitionName = (topic: string, partition: number) => `${topic}/${partition}`;

/** @throws Error when a partition that got messages has not confirmed them */
export function requireAnswers(chosen: ReadonlySet<string>, answers: readonly RecordMetadata[]): void {
  const confirmed = new Set(answers.filter(({ errorCode }) => errorCode === 0).map((one) => partitionName(one.topicName, one.partition)));
  const missing = [...chosen].filter((name) => !confirmed.has(name));
  if (missing.length > 0) throw new Error(`not confirmed by ${missing.join(', ')}`);
}

function bytesOf({ messages }: Sending): number {
  return messages.reduce((sum, { value, key }) => sum + (value?.length ?? 0) + (key?.length ?? 0) + 200, 0);
}
