import assert from 'node:assert/strict';
import type { Client } from 'cassandra-driver';
import { createUsageBooks } from '../../adapters/cassandra/usage-books.js';
import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../../adapters/cassandra/usage-maintenance.js';
import { createUsageReader } from '../../adapters/cassandra/usage-reader.js';
import { createUsageSink } from '../../adapters/cassandra/usage-sink.js';
import type { UsageEvent } from '../../contracts/events.js';
import { event, id } from '../analytics/events.js';
import { withKeyspace } from '../support/keyspace.js';

type Act = 'execute' | 'batch';

const textOf = (statements: unknown): string =>
  typeof statements === 'string' ? statements : (statements as { query: string }[]).map(({ query }) => query).join('\n');

/** The same client, but something happens before its first statement of a kind. */
function before(client: Client, act: Act, statement: RegExp, happens: () => Promise<unknown>): Client {
  let left = 1;
  return new Proxy(client, {
    get(target, property) {
      const member = Reflect.get(target, property) as unknown;
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        if (property === act && statement.test(textOf(args[0])) && left-- > 0) await happens();
        return (member as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

// The orders of events that a busy system meets once in a while, each brought about on purpose.
describe('a roll-up beside deliveries', function () {
  this.timeout(60_000);
  const keyspace = withKeyspace();
  const retention = new Retention(90);
  const at = new Date(Date.now() - 86_400_000);
  const window = { from: new Date(at.getTime() - 3_600_000), to: new Date(at.getTime() + 3_600_000) };
  const made = (overrides: Partial<UsageEvent> = {}) => event({ timestamp: at.toISOString(), tokens: 1, userId: id(1), ...overrides });
  const sink = (client = keyspace().client) => createUsageSink(client, retention);
  const reader = (client = keyspace().client) => createUsageReader(client, retention);
  const fold = () => createUsageMaintenance(keyspace().client, retention, { quietFraction: 0 }).fold(10_000);
  const mismatches = () => createUsageBooks(keyspace().client, retention).rollUpMismatches();
  const counted = async (provider: UsageEvent['provider'], from = reader()) => (await from.summarise(provider, 'all', window, 5)).events;

  it('does not count a bucket that someone is storing into', async () => {
    const [first, second] = [made(), made()];
    await sink().publish([first]);
    const slow = before(keyspace().client, 'batch', /token_usage/, async () => {
      // The mark is raised, the event not yet stored: a roll-up made now would claim to cover it.
      assert.deepEqual(await fold(), { count: 0, done: true });
    });
    await sink(slow).publish([second]);
    assert.equal(await counted('openai'), 2);
    assert.ok((await fold()).count > 0);
    assert.equal(await counted('openai'), 2);
    assert.equal(await mismatches(), 0);
  });

  it('does not cover a delivery that failed and of which something may still arrive', async () => {
    const late = made({ provider: 'gemini' });
    const broken = sink(before(keyspace().client, 'batch', /token_usage/, () => Promise.reject(new Error('no answer'))));
    await assert.rejects(broken.publish([late]), /no answer/);
    await broken.publish([made({ provider: 'gemini' })]);
    assert.deepEqual(await fold(), { count: 0, done: true }, 'the other delivery of the same process closes only its own mark');
    assert.equal(await counted('gemini'), 1);
    await broken.publish([late]);
    assert.equal(await counted('gemini'), 2);
  });

  it('a report whose roll-up is replaced and deleted while it is read is neither empty nor half', async () => {
    await sink().publish([made({ provider: 'qwen' }), made({ provider: 'qwen', userId: id(2) })]);
    await fold();
    const racing = before(keyspace().client, 'execute', /SELECT org_id, tag, users/, async () => {
      await sink().publish([made({ provider: 'qwen', userId: id(3) })]);
      assert.ok((await fold()).count > 0);
    });
    assert.equal(await counted('qwen', reader(racing)), 3);
    assert.equal(await mismatches(), 0);
  });

  it('two roll-ups at the same time leave a true one', async () => {
    await sink().publish(Array.from({ length: 40 }, (_, index) => made({ provider: 'qwen', userId: id(10 + index) })));
    await Promise.all([fold(), fold(), fold()]);
    assert.equal(await counted('qwen'), 43);
    assert.equal(await mismatches(), 0);
  });
});
