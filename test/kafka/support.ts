import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, type Admin, type KafkaMessage } from 'kafkajs';
import { groupNames, topicNames } from '../../adapters/kafka/topics.js';
import { partitionsBehind } from '../../adapters/kafka/lag.js';
import { setUpTopics } from '../../compose/kafka.js';
import { deadLetterTopic } from '../../contracts/event-messages.js';
import { createResources, type Resources } from '../../compose/resources.js';
import { loadConfig, type Config } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { eventually } from '../support/eventually.js';
import { startTestKafka } from '../support/kafka.js';

const HOOK_TIMEOUT_MS = 120_000;
export const log = createLogger(process.env.LEAKY_LOG_LEVEL ?? 'silent');

export interface TestTopics {
  config: Config;
  environment: Record<string, string>;
  names: ReturnType<typeof topicNames>;
  admin: Admin;
  /** Sends bytes as they are, as a stranger might */
  sendRaw(topic: string, messages: { key?: string | null; value: string | Buffer | null }[]): Promise<void>;
  /** All messages of a topic, in the order of each partition */
  read(topic: string): Promise<(KafkaMessage & { partition: number })[]>;
  /** Messages that the analytics group has not dealt with */
  lag(topic: string): Promise<number>;
  resources(environment?: Record<string, string>): Resources;
}

/** Topics of their own for the enclosing `describe`, made by the setup step; resources made from them are closed after it. */
export function withTopics(more: Record<string, string> = {}): () => TestTopics {
  let topics: TestTopics | undefined;
  const opened: Resources[] = [];
  before('topics of its own', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    const brokers = await startTestKafka();
    const environment = {
      LEAKY_KAFKA_BROKERS: brokers,
      LEAKY_KAFKA_TOPIC_PREFIX: `t${randomBytes(4).toString('hex')}.`,
      LEAKY_KAFKA_PARTITIONS: '3',
      LEAKY_KAFKA_REPLICATION_FACTOR: '1',
      LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '1',
      LEAKY_KAFKA_SESSION_TIMEOUT_MS: '6000',
      ...more,
    };
    const config = loadConfig(environment);
    await setUpTopics(config, log);
    topics = await open(config, environment, opened);
  });
  after(async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    for (const resources of opened) await resources.close();
    await topics?.admin.disconnect();
  });
  return () => {
    assert.ok(topics, 'the topics exist only while tests run');
    return topics;
  };
}

async function open(config: Config, environment: Record<string, string>, opened: Resources[]): Promise<TestTopics> {
  const kafka = new Kafka({ brokers: [...config.kafka.brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const names = topicNames(config.kafka);
  const leads = (topic: string) =>
    admin.fetchTopicOffsets(topic).then(
      () => true,
      () => false,
    );
  const all = Object.values(names).flatMap((topic) => [topic, deadLetterTopic(topic)]);
  await eventually('the new topics have their leaders', async () => (await Promise.all(all.map(leads))).every(Boolean));
  return {
    config,
    environment,
    names,
    admin,
    async sendRaw(topic, messages) {
      const producer = kafka.producer();
      await producer.connect();
      await producer.send({ topic, messages: messages.map((message) => ({ key: null, ...message })) });
      await producer.disconnect();
    },
    read: (topic) => readAll(kafka, admin, topic),
    async lag(topic) {
      const behind = await partitionsBehind(admin, groupNames(config.kafka).analytics, topic);
      return behind.reduce((sum, { from, to }) => sum + Number(to - from), 0);
    },
    resources(changes = {}) {
      const resources = createResources({ config: loadConfig({ ...environment, ...changes }), log });
      opened.push(resources);
      return resources;
    },
  };
}

export async function readAll(kafka: Kafka, admin: Admin, topic: string): Promise<(KafkaMessage & { partition: number })[]> {
  const ends = await admin.fetchTopicOffsets(topic);
  const wanted = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
  const messages: (KafkaMessage & { partition: number })[] = [];
  if (wanted === 0) return messages;
  const consumer = kafka.consumer({ groupId: `read-${randomBytes(4).toString('hex')}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    const eachMessage = ({ partition, message }: { partition: number; message: KafkaMessage }) => {
      messages.push({ ...message, partition });
      if (messages.length >= wanted) resolve();
      return Promise.resolve();
    };
    consumer.run({ autoCommit: false, eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return messages;
}
