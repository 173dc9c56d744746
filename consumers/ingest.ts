import { setTimeout as wait } from 'node:timers/promises';
import { UnstorableEvent } from '../activities/ports.js';
import { NotAnEvent } from '../contracts/event-messages.js';
import { eventMetrics } from '../telemetry/event-metrics.js';
import type { Logger } from '../telemetry/log.js';
import type { DeadLetter, DeadLetters, Hold, Received } from './ports.js';

export interface IngestOptions<Event extends { id: string }> {
  /** @throws NotAnEvent */
  read: (text: string) => Event;
  /** Idempotent on the event ids. Rejects with UnstorableEvent when one of the events is to blame, with anything else in an outage. */
  store: (events: readonly Event[]) => Promise<void>;
  deadLetters: DeadLetters;
  log: Logger;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** Between heartbeats; far below any session time-out. */
const BEAT_MS = 500;

/**
 * Takes the messages of one topic into its store. A batch is dealt with when each of its messages is stored or buried; only
 * then may its offsets be committed. Dying at any point means that it comes again, which the stores do not notice: they know
 * events by id.
 */
export class Ingest<Event extends { id: string }> {
  constructor(private readonly options: IngestOptions<Event>) {}

  /** @returns whether the batch is dealt with; false when the consumer stops first. Rejects when the hold is lost. */
  async take(messages: readonly Received[], hold: Hold): Promise<boolean> {
    const topic = messages[0]?.topic ?? '';
    const letters: DeadLetter[] = [];
    const readable = new Map<string, { event: Event; message: Received }>();
    for (const message of messages) {
      try {
        const event = this.options.read(message.value?.toString('utf8') ?? '');
        // Of the same id twice the first one counts, as it does in the store.
        if (!readable.has(event.id)) readable.set(event.id, { event, message });
      } catch (error) {
        if (!(error instanceof NotAnEvent)) throw error;
        letters.push({ message, reason: error.reason, detail: error.message });
      }
    }
    // A store may be slower than a session is long. Whether the hold is lost is seen by the next one who asks.
    const beating = setInterval(() => void hold.heartbeat().catch(() => undefined), BEAT_MS);
    try {
      letters.push(...(await this.storeAll([...readable.values()], hold, topic)));
      if (letters.length > 0) await this.bury(letters, hold, topic);
    } catch (error) {
      if (error instanceof Stopped) return false;
      throw error;
    } finally {
      clearInterval(beating);
    }
    eventMetrics.consumed.inc({ topic }, messages.length);
    return true;
  }

  /** Stores what can be stored. The events to blame are found by halving, as the store says only that there are some. */
  private async storeAll(items: { event: Event; message: Received }[], hold: Hold, topic: string): Promise<DeadLetter[]> {
    const [first] = items;
    if (!first) return [];
    try {
      await this.insist(() => this.options.store(items.map(({ event }) => event)), hold, topic);
      return [];
    } catch (error) {
      if (!(error instanceof UnstorableEvent)) throw error;
      if (items.length === 1) return [{ message: first.message, reason: 'UNSTORABLE', detail: error.message }];
      const middle = Math.ceil(items.length / 2);
      const letters = await this.storeAll(items.slice(0, middle), hold, topic);
      return [...letters, ...(await this.storeAll(items.slice(middle), hold, topic))];
    }
  }

  private async bury(letters: DeadLetter[], hold: Hold, topic: string): Promise<void> {
    await this.insist(() => this.options.deadLetters.bury(letters), hold, topic);
    for (const { message, reason, detail } of letters) {
      eventMetrics.deadLettered.inc({ topic, reason });
      const { partition, offset } = message;
      this.options.log.warn({ topic, partition, offset, reason, detail }, 'a message was put aside as a dead letter');
    }
  }

  /** Tries until it works, however long the outage is: the partition waits, and its lag tells. */
  private async insist(step: () => Promise<void>, hold: Hold, topic: string): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await step();
      } catch (error) {
        if (error instanceof UnstorableEvent) throw error;
        eventMetrics.storeFailures.inc({ topic });
        this.options.log.warn({ err: error, topic, pauseMs }, 'events could not be stored; trying again, nothing is committed');
        await pause(pauseMs, hold);
      }
    }
  }
}

class Stopped extends Error {}

async function pause(ms: number, hold: Hold): Promise<void> {
  for (let left = ms; left > 0; left -= BEAT_MS) {
    if (!hold.alive()) throw new Stopped();
    await wait(Math.min(left, BEAT_MS));
    await hold.heartbeat();
  }
  if (!hold.alive()) throw new Stopped();
}
