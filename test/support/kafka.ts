import { Kafka, logLevel } from 'kafkajs';
import { shared, type Provision } from './provide.js';

/** Listens for us on `port` under the address it gives out; the controller is its own affair. */
const container = (port: number): string[] => [
  ...['--publish', `127.0.0.1:${port}:${port}`],
  ...Object.entries({
    NODE_ID: '1',
    PROCESS_ROLES: 'broker,controller',
    CONTROLLER_QUORUM_VOTERS: '1@localhost:29093',
    CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    LISTENERS: `PLAINTEXT://:${port},CONTROLLER://:29093`,
    ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
    LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    OFFSETS_TOPIC_NUM_PARTITIONS: '1',
    TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
    TRANSACTION_STATE_LOG_MIN_ISR: '1',
    GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    AUTO_CREATE_TOPICS_ENABLE: 'false',
  }).flatMap(([name, value]) => ['--env', `KAFKA_${name}=${value}`]),
  'apache/kafka:4.4.0',
];

export const kafkaProvision: Provision = {
  name: 'Kafka',
  variable: 'LEAKY_TEST_KAFKA_BROKERS',
  script: 'kafka',
  ports: 2,
  containers: (port) => [container(port)],
  async answers(address) {
    const admin = new Kafka({ brokers: address.split(','), logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
    try {
      await admin.connect();
      await admin.listTopics();
    } finally {
      await admin.disconnect();
    }
  },
};

/**
 * The one Kafka of the mocha run, which makes no topic by itself. Resolves with its brokers, comma-separated. Tests keep apart by
 * topics and groups of their own.
 */
export const startTestKafka = shared(kafkaProvision);
