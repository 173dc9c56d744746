import assert from 'node:assert/strict';
import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../../adapters/cassandra/usage-maintenance.js';
import { createUsageReader } from '../../adapters/cassandra/usage-reader.js';
import { createUsageSink } from '../../adapters/cassandra/usage-sink.js';
import { event, id } from '../analytics/events.js';
import { withKeyspace } from '../support/keyspace.js';

const DAY_MS = 86_400_000;
const DAYS = 90;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

describe('retention of Cassandra', function () {
  this.timeout(60_000);
  const keyspace = withKeyspace();
  const retention = new Retention(DAYS);
  const window = { from: new Date(0), to: new Date(Date.now() + DAY_MS) };

  it('each row lives as long as the day of its event, also a late one, and what is too old is not stored', async () => {
    const { client } = keyspace();
    const sink = createUsageSink(client, retention);
    const [fresh, late, old] = [
      event({ timestamp: ago(0) }),
      event({ timestamp: ago(30 * DAY_MS) }),
      event({ timestamp: ago(93 * DAY_MS) }),
    ];
    await sink.publish([fresh, late, old]);
    const lives = async (table: string, where: string, params: unknown[]) => {
      const row = (await client.execute(`SELECT ttl(tokens) AS ttl FROM ${table} WHERE ${where}`, params)).first();
      return row ? (row.ttl as number) / 86_400 : null;
    };
    for (const [one, least] of [
      [fresh, DAYS + 1],
      [late, DAYS + 1 - 30],
    ] as const) {
      const days = await lives('token_usage_events', 'id = ?', [one.id]);
      assert.ok(days !== null && days >= least && days <= least + 1, `${days} days`);
      const minute = Math.floor(Date.parse(one.timestamp) / 60_000) * 60_000;
      assert.ok(Math.abs(((await lives('token_usage_by_provider', 'provider = ? AND minute = ?', ['openai', minute])) ?? 0) - days) < 0.01);
    }
    assert.equal(await lives('token_usage_events', 'id = ?', [old.id]), null);
  });

  it('roll-ups and marks live as long as their events, and there is nothing to purge', async () => {
    const { client } = keyspace();
    const maintenance = createUsageMaintenance(client, retention, { quietFraction: 0 });
    assert.ok((await maintenance.fold(1_000)).done);
    for (const query of [
      'SELECT ttl(events) AS ttl FROM usage_rollups',
      'SELECT ttl(users) AS ttl FROM usage_rollup_users',
      'SELECT ttl(opened) AS ttl FROM usage_marks',
    ]) {
      const { rows } = await client.execute(query);
      assert.ok(rows.length > 0);
      for (const row of rows) assert.ok((row.ttl as number) > (DAYS + 1 - 31) * 86_400);
    }
    assert.equal(await maintenance.purgeOldest(new Date()), null);
  });

  it('what is older than the retention is in no report, although its row has a day left', async () => {
    const { client } = keyspace();
    await createUsageSink(client, retention).publish([event({ timestamp: ago(90 * DAY_MS + 7_200_000), userId: id(9), provider: 'qwen' })]);
    const later = createUsageReader(client, new Retention(DAYS, () => new Date(Date.now() + 61 * DAY_MS)));
    const now = createUsageReader(client, retention);
    assert.equal((await now.summarise('openai', 'all', window, 5)).events, 2);
    assert.equal((await now.summarise('qwen', 'all', window, 5)).events, 0);
    assert.equal((await now.recent('qwen', 'all', 5)).length, 0);
    assert.equal((await later.summarise('openai', 'all', window, 5)).events, 1);
  });
});
