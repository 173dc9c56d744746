import assert from 'node:assert/strict';
import { ensureTopics } from '../../adapters/kafka/topics.js';
import { openKafka } from '../../compose/kafka.js';
import { ConfigError, loadConfig, type Config } from '../../config.js';
import { log, withTopics } from './support.js';

describe('the topics that setup makes', function () {
  this.timeout(30_000);
  const topics = withTopics();
  const ensure = (config: Config) => ensureTopics(openKafka(config, log), config.kafka);
  const changed = (changes: Record<string, string>) => loadConfig({ ...topics().environment, ...changes });

  it('are all there, with what the configuration says, and a second run changes nothing', async () => {
    const { names, admin, config } = topics();
    assert.deepEqual(await ensure(config), { created: [], differing: [] });
    const deadLetters = `${names.usage}.dead-letter`;
    const { topics: found } = await admin.fetchTopicMetadata({ topics: [names.usage, deadLetters] });
    // The broker answers in an order of its own.
    const partitionsOf = Object.fromEntries(found.map(({ name, partitions }) => [name, partitions.length]));
    assert.deepEqual(partitionsOf, { [names.usage]: 3, [deadLetters]: 1 });
  });

  it('made by two at the same time are made once', async () => {
    const config = changed({ LEAKY_KAFKA_TOPIC_PREFIX: `${topics().config.kafka.topicPrefix}two.` });
    await Promise.all([ensure(config), ensure(config)]);
    assert.deepEqual(await ensure(config), { created: [], differing: [] });
  });

  it('that are otherwise are told, not changed', async () => {
    const config = changed({ LEAKY_KAFKA_PARTITIONS: '4', LEAKY_KAFKA_RETENTION_HOURS: '1' });
    const { differing, created } = await ensure(config);
    assert.deepEqual(created, []);
    const { usage, purchases } = topics().names;
    assert.deepEqual(
      differing,
      [usage, purchases].flatMap((topic) => [
        `${topic}: partitions is 3, the configuration wants 4`,
        `${topic}: retention.ms is 604800000, the configuration wants 3600000`,
      ]),
    );
  });

  it('that the cluster cannot hold, or that could take nothing, are faults of the configuration', async () => {
    const fresh = { LEAKY_KAFKA_TOPIC_PREFIX: `${topics().config.kafka.topicPrefix}three.` };
    const tooMany = changed({ ...fresh, LEAKY_KAFKA_REPLICATION_FACTOR: '3' });
    await assert.rejects(ensure(tooMany), (error) => error instanceof ConfigError && /3 copies .* 1 broker/.test(error.message));
    await assert.rejects(ensure(changed({ ...fresh, LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '2' })), ConfigError);
  });

  it('are never made by accident: publishing to one that is missing fails', async () => {
    const resources = topics().resources({ LEAKY_KAFKA_TOPIC_PREFIX: 'nobody.made.' });
    const { event } = await import('../analytics/events.js');
    await assert.rejects(resources.events().usage.publish([event()]), /topic/i);
    assert.deepEqual(
      (await topics().admin.listTopics()).filter((name) => name.startsWith('nobody')),
      [],
    );
  });
});
