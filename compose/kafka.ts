import { createKafka } from '../adapters/kafka/client.js';
import { createPublisher, PUBLISHING_LIMITS, type Publisher } from '../adapters/kafka/publisher.js';
import { createKafkaPurchaseEventSink, createKafkaUsageSink } from '../adapters/kafka/sinks.js';
import { ensureTopics, topicNames, type TopicReport } from '../adapters/kafka/topics.js';
import { ConfigError, type Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import type { EventSinks } from './event-stores.js';
import type { SetupStep } from './setup.js';

/** Longer than a fetch or a heartbeat waits at the broker. */
const LIMITS = { requestTimeoutMs: 10_000, retry: { retries: 3, initialRetryTime: 200, maxRetryTime: 2_000 } };

export const hasKafka = ({ kafka }: Config): boolean => kafka.brokers.length > 0;

/** For everything but publishing, whose requests have shorter deadlines. @throws ConfigError when no broker is configured */
export function openKafka(config: Config, log: Logger) {
  if (!hasKafka(config)) throw new ConfigError('LEAKY_KAFKA_BROKERS: required here (host:port, comma-separated)');
  return createKafka(config.kafka, log, LIMITS);
}

export function openPublisher({ kafka }: Config, log: Logger): Publisher {
  return createPublisher({
    kafka: createKafka(kafka, log, PUBLISHING_LIMITS),
    log,
    label: (topic) => topic.slice(kafka.topicPrefix.length),
  });
}

export function kafkaSinks({ kafka }: Config, publisher: Publisher): EventSinks {
  const topics = topicNames(kafka);
  return {
    usage: createKafkaUsageSink(publisher, topics.usage),
    purchases: createKafkaPurchaseEventSink(publisher, topics.purchases),
  };
}

export function setUpTopics(config: Config, log: Logger): Promise<TopicReport> {
  return ensureTopics(openKafka(config, log), config.kafka);
}

/** The topics. What existing ones have otherwise is said and left: each change has consequences that an operator has to want. */
export const kafkaSetup: SetupStep = {
  name: 'Kafka',
  wanted: hasKafka,
  async run({ config, log }, say) {
    const { created, differing } = await setUpTopics(config, log);
    for (const difference of differing) say(`Kafka: ${difference}`);
    return created.map((topic) => `topic ${topic}`);
  },
};
