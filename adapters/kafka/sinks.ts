import type { PurchaseEventSink, UsageSink } from '../../activities/ports.js';
import { purchaseMessage, usageMessage } from '../../contracts/event-messages.js';
import type { Publisher } from './publisher.js';

/** One send holds at most that many events. */
const CHUNK = 1_000;

/** Publishes usage events. An event that is published again has the same id: whoever consumes counts it once. */
export function createKafkaUsageSink(publisher: Publisher, topic: string): UsageSink {
  return {
    async publish(events) {
      for (let from = 0; from < events.length; from += CHUNK)
        await publisher.publish(topic, events.slice(from, from + CHUNK).map(usageMessage));
    },
  };
}

export function createKafkaPurchaseEventSink(publisher: Publisher, topic: string): PurchaseEventSink {
  return { publish: (event) => publisher.publish(topic, [purchaseMessage(event)]) };
}
