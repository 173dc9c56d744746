import type { Admin, Kafka } from 'kafkajs';
import { ConfigError, type Config } from '../../config.js';
import { deadLetterTopic, TOPICS } from '../../contracts/event-messages.js';

type KafkaConfig = Config['kafka'];

/** The names of an installation. */
export const topicNames = ({ topicPrefix }: Pick<KafkaConfig, 'topicPrefix'>) => ({
  usage: topicPrefix + TOPICS.usage,
  purchases: topicPrefix + TOPICS.purchases,
});

/** The group of the analytics service, and the one whose offsets say which dead letters were driven again. */
export const groupNames = ({ topicPrefix }: Pick<KafkaConfig, 'topicPrefix'>) => ({
  analytics: `${topicPrefix}leaky-analytics`,
  redrive: `${topicPrefix}leaky-redrive`,
});

interface WantedTopic {
  topic: string;
  partitions: number;
  replicationFactor: number;
  settings: Record<string, string>;
}

export interface TopicReport {
  created: string[];
  /** One sentence for each setting that an existing topic has otherwise; setup changes none, as all have consequences */
  differing: string[];
}

/** kafkajs has an enumeration for it that ES modules cannot import. */
const TOPIC = 2;
const HOUR_MS = 3_600_000;

/** Creates the topics that are missing and compares the others with the configuration. @throws ConfigError when the cluster cannot hold them so */
export async function ensureTopics(kafka: Kafka, config: KafkaConfig): Promise<TopicReport> {
  if (config.minInsyncReplicas > config.replicationFactor)
    throw new ConfigError('LEAKY_KAFKA_MIN_INSYNC_REPLICAS: more than LEAKY_KAFKA_REPLICATION_FACTOR; nothing could ever be published');
  const admin = kafka.admin();
  try {
    await admin.connect();
    const present = new Set(await admin.listTopics());
    const topics = wanted(config);
    const missing = topics.filter(({ topic }) => !present.has(topic));
    await create(admin, missing);
    const existing = topics.filter(({ topic }) => present.has(topic));
    return { created: missing.map(({ topic }) => topic), differing: existing.length > 0 ? await compare(admin, existing) : [] };
  } finally {
    await admin.disconnect();
  }
}

function wanted(config: KafkaConfig): WantedTopic[] {
  const one = (topic: string, partitions: number, retentionHours: number): WantedTopic => ({
    topic,
    partitions,
    replicationFactor: config.replicationFactor,
    settings: {
      'min.insync.replicas': String(config.minInsyncReplicas),
      'retention.ms': String(retentionHours * HOUR_MS),
      'cleanup.policy': 'delete',
    },
  });
  return Object.values(topicNames(config)).flatMap((topic) => [
    one(topic, config.partitions, config.retentionHours),
    // Few, and easier to look through in the order they came.
    one(deadLetterTopic(topic), 1, config.deadLetterRetentionHours),
  ]);
}

async function create(admin: Admin, topics: WantedTopic[]): Promise<void> {
  if (topics.length === 0) return;
  try {
    await admin.createTopics({
      topics: topics.map(({ topic, partitions, replicationFactor, settings }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      })),
    });
  } catch (error) {
    const reasons = (error as { errors?: { type?: string }[] }).errors ?? [];
    if (!reasons.some(({ type }) => type === 'INVALID_REPLICATION_FACTOR'))
      throw reasons.length > 0 ? new AggregateError(reasons, reasons.map(String).join('; ')) : error;
    const { brokers } = await admin.describeCluster();
    throw new ConfigError(
      `LEAKY_KAFKA_REPLICATION_FACTOR: ${topics[0]?.replicationFactor} copies of each topic are wanted, the cluster has ${brokers.length} broker(s)`,
    );
  }
}

async function compare(admin: Admin, topics: WantedTopic[]): Promise<string[]> {
  const [metadata, configs] = await Promise.all([
    admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) }),
    admin.describeConfigs({
      includeSynonyms: false,
      resources: topics.map(({ topic, settings }) => ({
        type: TOPIC,
        name: topic,
        configNames: Object.keys(settings),
      })),
    }),
  ]);
  return topics.flatMap(({ topic, partitions, replicationFactor, settings }) => {
    const found = metadata.topics.find(({ name }) => name === topic)?.partitions ?? [];
    const entries = configs.resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? [];
    const values: [string, string | number, string | number | undefined][] = [
      ['partitions', partitions, found.length],
      ['replication factor', replicationFactor, found[0]?.replicas.length],
      ...Object.entries(settings).map(
        ([name, value]) => [name, value, entries.find((entry) => entry.configName === name)?.configValue] as [string, string, string],
      ),
    ];
    return values
      .filter(([, want, is]) => is !== want)
      .map(([name, want, is]) => `${topic}: ${name} is ${is ?? 'unknown'}, the configuration wants ${want}`);
  });
}
