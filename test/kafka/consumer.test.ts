import assert from 'node:assert/strict';
import { groupNames } from '../../adapters/kafka/topics.js';
import { listDeadLetters, redriveDeadLetters } from '../../adapters/kafka/redrive.js';
import { startEventConsumption } from '../../compose/event-consumer.js';
import { openKafka } from '../../compose/kafka.js';
import type { Resources } from '../../compose/resources.js';
import type { Service } from '../../compose/service.js';
import { deadLetterTopic, usageMessage } from '../../contracts/event-messages.js';
import { eventMetrics } from '../../telemetry/event-metrics.js';
import { event, id } from '../analytics/events.js';
import { layCable, type Cable } from '../support/cable.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { log, withTopics } from './support.js';

const WITHIN_MS = 30_000;

describe('consuming events', function () {
  this.timeout(90_000);
  const consumptions = new Set<Service>();
  const opened: Resources[] = [];
  let cable: Cable | undefined;
  after('everything stops', async function () {
    this.timeout(60_000);
    cable?.mend();
    for (const consumption of consumptions) await consumption.stop();
    for (const resources of opened) await resources.close();
    await cable?.close();
  });
  const database = withDatabase();
  const topics = withTopics();

  function resourcesOn(url = database().url): Resources {
    const resources = topics().resources({ LEAKY_POSTGRES_URL: url });
    opened.push(resources);
    return resources;
  }
  function consume(resources = resourcesOn()): Service {
    const consumption = startEventConsumption(resources);
    consumptions.add(consumption);
    return consumption;
  }
  async function stop(consumption: Service): Promise<void> {
    consumptions.delete(consumption);
    await consumption.stop();
  }
  const stored = async () => (await database().pool.query<{ id: string }>('SELECT id FROM usage_events')).rows.map((row) => row.id);
  const storedAll = (ids: readonly string[]) =>
    eventually('all events are stored', async () => (await stored()).filter((one) => ids.includes(one)).length === ids.length, WITHIN_MS);
  const noLag = () => eventually('everything is committed', async () => (await topics().lag(topics().names.usage)) === 0, WITHIN_MS);
  const redriving = () => ({
    kafka: openKafka(topics().config, log),
    groupId: groupNames(topics().config.kafka).redrive,
    topic: topics().names.usage,
    sessionTimeoutMs: topics().config.kafka.sessionTimeoutMs,
  });

  it('puts poison aside with the reason and where it was, stores all around it, and commits', async () => {
    const { names, sendRaw, read } = topics();
    const good = Array.from({ length: 30 }, (_, index) => event({ userId: id(index) }));
    const unstorable = event({ requestId: 'PostgreSQL has no \u0000 in text' });
    const stranger = usageMessage(event({ provider: 'acme' as never }));
    const poison: { key?: string | null; value: string | Buffer | null }[] = [
      { key: 'k', value: 'not { json' },
      { value: null },
      { value: Buffer.from([0xff, 0xfe]) },
      { value: '{"specversion":"1.0"}' },
      stranger,
      { ...usageMessage(event()), value: usageMessage(event()).value.replace('"id":"', '"id":"x') },
      usageMessage(unstorable),
    ];
    await sendRaw(names.usage, [...good.slice(0, 15).map(usageMessage), ...poison, ...good.slice(15).map(usageMessage)]);
    const consumption = consume();
    await storedAll(good.map((one) => one.id));
    await noLag();
    await stop(consumption);
    assert.equal((await stored()).length, good.length);

    const letters = await read(deadLetterTopic(names.usage));
    const header = (index: number, name: string) => String(letters[index]?.headers?.[`dead-letter-${name}`]);
    const reasons = letters.map((_, index) => header(index, 'reason'));
    assert.deepEqual(reasons.sort(), [...Array(3).fill('NOT_AN_EVENT'), ...Array(3).fill('NOT_JSON'), 'UNSTORABLE']);
    const source = await read(names.usage);
    for (const [index, letter] of letters.entries()) {
      const [topic, partition, offset] = ['topic', 'partition', 'offset'].map((name) => header(index, `source-${name}`));
      const original = source.find((one) => String(one.partition) === partition && one.offset === offset);
      assert.deepEqual([topic, letter.key, letter.value], [names.usage, original?.key, original?.value]);
      assert.notEqual(header(index, 'detail'), '');
    }
    const waiting = await listDeadLetters(redriving(), 100);
    assert.equal(waiting.length, poison.length);
    assert.match(waiting.find((one) => one.value === stranger.value)?.detail ?? '', /provider/);
    assert.equal((await listDeadLetters(redriving(), 2)).length, 2);
  });

  it('drives dead letters again: what can be stored by then is, the rest comes back as new letters', async () => {
    const { names, read } = topics();
    // What a later version or a mended store takes: stands for it here, as the text of the letter is not ours to change.
    await database().pool.query(`ALTER TABLE usage_events DROP CONSTRAINT usage_events_tokens_check, ALTER COLUMN tokens TYPE numeric(3)`);
    const large = event({ tokens: 1_000_000 });
    const sinks = resourcesOn();
    await sinks.events().usage.publish([large]);
    const consumption = consume();
    await noLag();
    assert.equal((await listDeadLetters(redriving(), 100)).length, 8);
    await database().pool.query('ALTER TABLE usage_events ALTER COLUMN tokens TYPE bigint');
    assert.equal(await redriveDeadLetters(redriving(), sinks.publisher()), 8);
    await storedAll([large.id]);
    await noLag();
    await stop(consumption);
    const waiting = await listDeadLetters(redriving(), 100);
    assert.equal(waiting.length, 7, 'only what is still poison waits, each once');
    assert.equal((await read(deadLetterTopic(names.usage))).length, 15);
  });

  it('a store that is away: nothing is committed, then all is stored once; a stop in the middle leaves it to the next', async () => {
    const { names, lag } = topics();
    cable = await layCable(Number(new URL(database().url).port));
    const url = new URL(database().url);
    url.port = String(cable.port);
    const failures = async () => (await eventMetrics.storeFailures.get()).values.reduce((sum, { value }) => sum + value, 0);
    const failuresBefore = await failures();
    cable.cut();
    const events = Array.from({ length: 500 }, (_, index) => event({ userId: id(index % 7) }));
    const publishing = resourcesOn();
    await publishing.events().usage.publish(events);
    const first = consume(resourcesOn(url.href));
    await eventually('the consumer has tried', async () => (await failures()) > failuresBefore + 2, WITHIN_MS);
    assert.equal(await lag(names.usage), events.length, 'nothing is committed');
    const stoppingAt = Date.now();
    await stop(first);
    assert.ok(Date.now() - stoppingAt < 12_000, 'an outage does not keep a consumer from stopping');

    const second = consume(resourcesOn(url.href));
    const soFar = await failures();
    await eventually('the next one has tried', async () => (await failures()) > soFar, WITHIN_MS);
    cable.mend();
    await storedAll(events.map((one) => one.id));
    await noLag();
    await stop(second);
  });

  it('members that come and go while events flow lose none', async () => {
    const publishing = resourcesOn();
    const ids: string[] = [];
    let open = true;
    const flow = (async () => {
      while (open) {
        const events = Array.from({ length: 50 }, (_, index) => event({ userId: id(index) }));
        await publishing.events().usage.publish(events);
        ids.push(...events.map((one) => one.id));
      }
    })();
    const arrived = async (since: number) => eventually('events arrive', async () => (await stored()).length > since + 100, WITHIN_MS);
    const first = consume();
    await arrived((await stored()).length);
    const second = consume();
    await arrived((await stored()).length);
    await stop(first);
    await arrived((await stored()).length);
    const third = consume();
    await arrived((await stored()).length);
    open = false;
    await flow;
    await storedAll(ids);
    await noLag();
    await Promise.all([stop(second), stop(third)]);
  });
});
