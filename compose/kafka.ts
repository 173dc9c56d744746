import { createKafka } from '../adapters/kafka/client.js';
import { createPublisher, PUBLISH_REQUEST_TIMEOUT_MS, type Publisher } from '../adapters/kafka/publisher.js';
import { createKafkaPurchaseEventSink, createKafkaUsageSink } from '../adapters/kafka/sinks.js';
import { ensureTopics, topicNames, type TopicReport } from '../adapters/kafka/topics.js';
import { ConfigError, type Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import type { EventSinks } from './event-stores.js';

/** Longer than a fetch or a heartbeat waits at the broker. */
const REQUEST_TIMEOUT_MS = 10_000;

export const hasKafka = ({ kafka }: Config): boolean => kafka.brokers.length > 0;

/** For everything but publishing, whose requests have shorter deadlines. @throws ConfigError when no broker is configured */
export function openKafka(config: Config, log: Logger) {
  if (!hasKafka(config)) throw new ConfigError('LEAKY_KAFKA_BROKERS: required here (host:port, comma-separated)');
  return createKafka(config.kafka, log, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
}

export function openPublisher({ kafka }: Config, log: Logger): Publisher {
  return createPublisher({
    kafka: createKafka(kafka, log, { requestTimeoutMs: PUBLISH_REQUEST_TIMEOUT_MS }),
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

/** The step of `leaky setup`. */
export function setUpTopics(config: Config, log: Logger): Promise<TopicReport> {
  return ensureTopics(openKafka(config, log), config.kafka);
}
