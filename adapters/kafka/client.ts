import { Kafka, logLevel, type KafkaConfig, type LogEntry, type RetryOptions } from 'kafkajs';
import { ConfigError, type Config } from '../../config.js';
import { recogniseOutages } from '../../platform/outages.js';
import type { Logger } from '../../telemetry/log.js';

export interface KafkaLimits {
  /** For one request to a broker; waiting for a group to balance is apart */
  requestTimeoutMs: number;
  /** Also of connecting, where what a producer or a consumer is given does not count */
  retry: RetryOptions;
}

/** The driver says itself what may pass; that its own attempts were not enough is no reason to think otherwise. */
recogniseOutages('kafka', (error) => {
  const { retriable } = error as { retriable?: unknown };
  return error.name.startsWith('KafkaJS') && (retriable === true || error.name === 'KafkaJSNumberOfRetriesExceeded');
});

const CONNECTION_TIMEOUT_MS = 2_000;
const AUTHENTICATION_TIMEOUT_MS = 5_000;

/** Opens nothing yet. @throws ConfigError when the settings of the login are incomplete */
export function createKafka(config: Config['kafka'], log: Logger, { requestTimeoutMs, retry }: KafkaLimits): Kafka {
  return new Kafka({
    clientId: 'leaky-tokens',
    brokers: [...config.brokers],
    ...(config.tls && { ssl: { ...config.tls } }),
    ...login(config.sasl),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    requestTimeout: requestTimeoutMs,
    enforceRequestTimeout: true,
    retry,
    logLevel: LEVELS[log.level as keyof typeof LEVELS] ?? logLevel.ERROR,
    logCreator: () => (entry) => pass(log, entry),
  });
}

function login({ mechanism, username, password }: Config['kafka']['sasl']): Pick<KafkaConfig, 'sasl'> {
  if (!mechanism) return {};
  const missing = Object.entries({ USERNAME: username, PASSWORD: password }).filter(([, value]) => !value);
  if (!username || !password)
    throw new ConfigError(missing.map(([name]) => `LEAKY_KAFKA_SASL_${name}: required when LEAKY_KAFKA_SASL_MECHANISM is set`).join('\n'));
  return { sasl: { mechanism, username, password } as NonNullable<KafkaConfig['sasl']> };
}

// The driver calls each retry an error. What an error means is said by whoever asked the driver; its own words are for a closer look.
const LEVELS = {
  trace: logLevel.DEBUG,
  debug: logLevel.INFO,
  info: logLevel.WARN,
  warn: logLevel.ERROR,
  error: logLevel.NOTHING,
  fatal: logLevel.NOTHING,
  silent: logLevel.NOTHING,
};

function pass(log: Logger, { level, namespace, log: { message, timestamp: _, logger: __, ...facts } }: LogEntry): void {
  // Told of each producer of ours; publisher.ts says how it deals with that.
  if (message.startsWith('Limiting retries for the idempotent producer')) return;
  const line = `kafka ${namespace}: ${message}`;
  if (level === logLevel.ERROR) log.warn(facts, line);
  else if (level === logLevel.WARN) log.info(facts, line);
  else if (level === logLevel.INFO) log.debug(facts, line);
  else log.trace(facts, line);
}
