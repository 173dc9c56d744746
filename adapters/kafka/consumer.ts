import { setTimeout as wait } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { Hold, Received } from '../../consumers/ports.js';
import type { Logger } from '../../telemetry/log.js';
import { activeTracer } from '../../telemetry/tracing.js';
import { within } from './deadline.js';

/** What is done with the messages of a topic; see consumers/ingest.ts. */
export interface Taker {
  take(messages: readonly Received[], hold: Hold): Promise<boolean>;
}

export interface EventConsumerOptions {
  kafka: Kafka;
  groupId: string;
  sessionTimeoutMs: number;
  /** By the full name of the topic; `label` is its name without the prefix */
  topics: ReadonlyMap<string, { label: string; taker: Taker }>;
  log: Logger;
}

export interface EventConsumer {
  /** Whether it is a member of its group now */
  readonly joined: boolean;
  /** Finishes the batches in hand, commits them and leaves the group, so that the others take over at once */
  stop(): Promise<void>;
}

/** Stored and committed at a time; larger ones would save little and be repeated as a whole. */
const CHUNK = 250;
const PARTITIONS_AT_A_TIME = 3;
/** A poll waits for so much, but not for longer: what a batch costs the store beside its events is the same for one as for hundreds. */
const POLL_BYTES = 65_536;
const POLL_WAIT_MS = 500;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A batch in hand may wait for a statement of the store; longer than that means that a broker does not answer the farewell. */
const LEAVE_TIMEOUT_MS = 15_000;

/**
 * Consumes for as long as it is not stopped, whatever becomes of the brokers: any failure of the driver ends in a consumer made
 * anew. Offsets are committed only for what has been dealt with, by the member that had the partition.
 */
export function startEventConsumer(options: EventConsumerOptions): EventConsumer {
  const { kafka, groupId, sessionTimeoutMs, topics, log } = options;
  const stopping = new AbortController();
  const stopped = new Promise<null>((resolve) => stopping.signal.addEventListener('abort', () => resolve(null), { once: true }));
  let joined = false;
  let pauseMs = FIRST_PAUSE_MS;

  async function consumeUntilFailure(): Promise<void> {
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.max(Math.floor(sessionTimeoutMs / 10), 200),
      rebalanceTimeout: Math.max(sessionTimeoutMs, 10_000),
      minBytes: POLL_BYTES,
      maxWaitTimeInMs: POLL_WAIT_MS,
      allowAutoTopicCreation: false,
      // A failed consumer is not patched up by the driver but replaced, here, in one way for all failures.
      retry: { restartOnFailure: () => Promise.resolve(false) },
    });
    const crashed = new Promise<Error>((resolve) => consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error)));
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      joined = true;
      pauseMs = FIRST_PAUSE_MS;
      log.info({ groupId, assignment: payload.memberAssignment }, 'consuming events');
    });
    const started = begin(consumer);
    const failed = started.then(() => crashed);
    failed.catch(() => undefined);
    try {
      const error = await Promise.race([failed, stopped]);
      if (error) throw error;
    } finally {
      joined = false;
      await leave(consumer, log);
      // Stopped while it was still joining: it must not go on when it has joined.
      void started.then(() => consumer.disconnect()).catch(() => undefined);
    }
  }

  async function begin(consumer: Consumer): Promise<void> {
    await consumer.connect();
    // A group without offsets, or with offsets of messages that retention has deleted, begins with the oldest message there is.
    await consumer.subscribe({ topics: [...topics.keys()], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_A_TIME,
      eachBatch: (payload) => takeBatch(payload),
    });
  }

  async function takeBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, resolveOffset, heartbeat, isRunning, isStale, commitOffsetsIfNecessary, uncommittedOffsets } = payload;
    const known = topics.get(batch.topic);
    if (!known) return;
    const hold: Hold = { alive: () => isRunning() && !isStale() && !stopping.signal.aborted, heartbeat };
    for (let from = 0; from < batch.messages.length && hold.alive(); from += CHUNK) {
      const messages = batch.messages.slice(from, from + CHUNK);
      const take = () => known.taker.take(messages.map(received(known.label, batch.partition)), hold);
      if (!(await inTracesOf(known.label, messages, take))) return;
      const last = messages.at(-1);
      if (last) resolveOffset(last.offset);
      await commitOffsetsIfNecessary(uncommittedOffsets());
      await heartbeat();
    }
  }

  const running = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await consumeUntilFailure();
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn({ err: error, groupId, pauseMs }, 'events are not consumed; trying again');
        await wait(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  })();

  return {
    get joined() {
      return joined;
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** In the trace of the message that is sampled first, with links to the others. */
function inTracesOf<T>(label: string, messages: readonly KafkaMessage[], work: () => Promise<T>): Promise<T> {
  const tracer = activeTracer();
  if (!tracer) return work();
  const attributes = { 'messaging.system': 'kafka', 'messaging.batch.message_count': messages.length };
  const carriers = messages.map(({ headers }) => headers ?? {});
  return tracer.continued(`process ${label}`, carriers, { kind: 'consumer', attributes }, work);
}

async function leave(consumer: Consumer, log: Logger): Promise<void> {
  await within(LEAVE_TIMEOUT_MS, 'leaving the group', consumer.disconnect()).catch((error: unknown) =>
    log.warn({ err: error }, 'left the group without a farewell; its partitions wait for the session time-out'),
  );
}

const received =
  (topic: string, partition: number) =>
  ({ offset, key, value, headers }: KafkaMessage): Received => ({ topic, partition, offset, key, value, headers: headers ?? {} });
