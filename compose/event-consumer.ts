import { startEventConsumer } from '../adapters/kafka/consumer.js';
import { createDeadLetters } from '../adapters/kafka/dead-letters.js';
import { watchLag } from '../adapters/kafka/lag.js';
import { groupNames, topicNames } from '../adapters/kafka/topics.js';
import { Ingest } from '../consumers/ingest.js';
import { deadLetterTopic, readPurchase, readUsage, TOPICS } from '../contracts/event-messages.js';
import type { PurchaseEvent } from '../contracts/events.js';
import { eventMetrics } from '../telemetry/event-metrics.js';
import { openKafka } from './kafka.js';
import type { Resources } from './resources.js';
import type { Service } from './service.js';

/**
 * Takes the events from Kafka into the stores. Brokers that are away do not end it, nor are they part of readiness: what is in
 * the stores can be reported on meanwhile.
 */
export function startEventConsumption(resources: Resources): Service {
  const { config, log } = resources;
  const kafka = openKafka(config, log);
  const [names, groups] = [topicNames(config.kafka), groupNames(config.kafka)];
  const stores = resources.eventStores();
  const deadLetters = createDeadLetters(resources.publisher(), config.kafka.topicPrefix);
  const usage = new Ingest({ read: readUsage, store: (events) => stores.usage.publish(events), deadLetters, log });
  const purchases = new Ingest({ read: readPurchase, store: oneByOne(stores.purchases.publish), deadLetters, log });
  const consumer = startEventConsumer({
    kafka,
    groupId: groups.analytics,
    sessionTimeoutMs: config.kafka.sessionTimeoutMs,
    topics: new Map([
      [names.usage, { label: TOPICS.usage, taker: usage }],
      [names.purchases, { label: TOPICS.purchases, taker: purchases }],
    ]),
    log,
  });
  const lag = watchLag(
    kafka,
    (['usage', 'purchases'] as const).flatMap((name) => [
      { groupId: groups.analytics, topic: names[name], gauge: eventMetrics.lag, label: TOPICS[name] },
      { groupId: groups.redrive, topic: deadLetterTopic(names[name]), gauge: eventMetrics.deadLettersWaiting, label: TOPICS[name] },
    ]),
    log,
  );
  return { name: 'event consumer', stop: async () => void (await Promise.all([consumer.stop(), lag.stop()])) };
}

/** Purchases are few: their store takes one event at a time. */
const oneByOne = (publish: (event: PurchaseEvent) => Promise<void>) => async (events: readonly PurchaseEvent[]) => {
  for (const event of events) await publish(event);
};
