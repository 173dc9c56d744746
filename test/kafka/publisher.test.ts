import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { requireAnswers, SEND_TIMEOUT_MS, type Publisher } from '../../adapters/kafka/publisher.js';
import { topicNames } from '../../adapters/kafka/topics.js';
import { openPublisher, setUpTopics, kafkaSinks } from '../../compose/kafka.js';
import { loadConfig, type Config } from '../../config.js';
import { event, id } from '../analytics/events.js';
import { startOwnBroker, type OwnBroker } from './own-broker.js';
import { log, readAll } from './support.js';

describe('publishing events', function () {
  this.timeout(60_000);
  let broker: OwnBroker;
  let config: Config;
  let publisher: Publisher;

  before(async () => {
    broker = await startOwnBroker();
    const environment = {
      LEAKY_KAFKA_TOPIC_PREFIX: `p${randomBytes(3).toString('hex')}.`,
      LEAKY_KAFKA_PARTITIONS: '1',
      LEAKY_KAFKA_REPLICATION_FACTOR: '1',
      LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '1',
    };
    await setUpTopics(loadConfig({ ...environment, LEAKY_KAFKA_BROKERS: broker.plain }), log);
    config = loadConfig({ ...environment, LEAKY_KAFKA_BROKERS: broker.cabled });
    publisher = openPublisher(config, log);
  });
  after(async () => {
    broker?.cable.mend();
    await publisher?.close();
  });

  const usage = () => kafkaSinks(config, publisher).usage;
  async function published(): Promise<string[]> {
    const kafka = new Kafka({ brokers: [broker.plain], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    const messages = await readAll(kafka, admin, topicNames(config.kafka).usage).finally(() => admin.disconnect());
    return messages.map(({ value }) => (JSON.parse(String(value)) as { id: string }).id);
  }

  it('each message is a CloudEvent with the event in it, keyed by the user', async () => {
    const one = event({ userId: id(7) });
    await usage().publish([one]);
    const kafka = new Kafka({ brokers: [broker.plain], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    const [message] = await readAll(kafka, admin, topicNames(config.kafka).usage).finally(() => admin.disconnect());
    assert.equal(String(message?.key), id(7));
    assert.equal(String(message?.headers?.['content-type']), 'application/cloudevents+json; charset=UTF-8');
    assert.deepEqual(JSON.parse(String(message?.value)), {
      specversion: '1.0',
      id: one.id,
      source: '/leaky-tokens/token-service',
      type: 'TOKEN_USAGE',
      time: one.timestamp,
      subject: id(7),
      datacontenttype: 'application/json',
      data: one,
    });
  });

  it('sends that come at the same time share one, and none is lost in another', async () => {
    const events = Array.from({ length: 60 }, () => event());
    await Promise.all(events.map((one) => usage().publish([one])));
    const ids = await published();
    assert.deepEqual(
      events.filter((one) => ids.filter((published) => published === one.id).length !== 1),
      [],
    );
  });

  it('what is published after a lost answer is not taken for its repetition', async () => {
    const [lost, next] = [event(), event()];
    broker.cable.loseAnswers();
    const beganAt = Date.now();
    await assert.rejects(usage().publish([lost]));
    assert.ok(Date.now() - beganAt < SEND_TIMEOUT_MS + 1_000, 'nobody waits longer than the deadline');
    broker.cable.mend();
    await usage().publish([next]);
    const ids = await published();
    assert.ok(ids.includes(next.id), 'an acknowledged event is there');
    assert.ok(ids.includes(lost.id), 'the answer was lost, not the event');
  });

  for (const fault of ['cut', 'hang'] as const) {
    it(`a broker that is away (${fault}) is an error within the deadline, and the next try reaches it when it is back`, async () => {
      const one = event();
      broker.cable[fault]();
      const beganAt = Date.now();
      await Promise.all(Array.from({ length: 5 }, () => assert.rejects(usage().publish([one]))));
      assert.ok(Date.now() - beganAt < 2 * SEND_TIMEOUT_MS + 1_000);
      broker.cable.mend();
      await usage().publish([one]);
      assert.ok((await published()).includes(one.id));
    });
  }

  it('closing waits for what is on its way', async () => {
    const last = openPublisher(config, log);
    const events = Array.from({ length: 300 }, () => event());
    const sending = Promise.all(events.map((one) => kafkaSinks(config, last).usage.publish([one])));
    await last.close();
    await sending;
    const ids = new Set(await published());
    assert.ok(events.every((one) => ids.has(one.id)));
  });

  it('a partition that has not answered means that the send has failed', () => {
    const answer = (partition: number) => ({ topicName: 't', partition, errorCode: 0 });
    requireAnswers(new Set(['t/0', 't/1']), [answer(0), answer(1), answer(2)]);
    assert.throws(() => requireAnswers(new Set(['t/0', 't/1']), [answer(0)]), /t\/1/);
    assert.throws(() => requireAnswers(new Set(['t/0']), [{ ...answer(0), errorCode: 6 }]), /t\/0/);
  });
});
