import assert from 'node:assert/strict';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { CHARGE_OF_EACH, EVENT_OF_EACH, ROLL_UPS } from '../../adapters/postgres/audit-laws.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createUnreportedUsage } from '../../adapters/postgres/unreported-usage.js';
import { createUsageBooks } from '../../adapters/cassandra/usage-books.js';
import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../../adapters/cassandra/usage-maintenance.js';
import { createUsageSink } from '../../adapters/cassandra/usage-sink.js';
import { event, id } from '../analytics/events.js';
import { buy, released, requestFor, settled, userPool } from '../support/consumptions.js';
import { withKeyspace } from '../support/keyspace.js';
import { withDatabase } from '../support/postgres.js';

describe('audit with the usage events in Cassandra', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const keyspace = withKeyspace();
  const retention = new Retention(90);
  const books = () => createUsageBooks(keyspace().client, retention);
  const sink = () => createUsageSink(keyspace().client, retention);
  const audit = async () => {
    const { breaches, checked } = await createAuditor(database().pool, books()).audit(0);
    return { checked, laws: breaches.map(({ law, count }) => `${count} × ${law}`) };
  };
  const ended: string[] = [];

  before('consumptions that ended, more than a page of them', async () => {
    const db = database().pool;
    const ledger = createConsumptionLedger(db, { enforceQuota: true });
    const pool = userPool();
    await buy(db, pool, 100_000);
    for (let batch = 0; batch < 6; batch++) {
      const requests = Array.from({ length: 200 }, (_, index) => requestFor(pool, 1 + index));
      await ledger.reserve('w', requests);
      await ledger.settle(
        requests.map(({ id: one, tokens }, index) => (index % 10 === 0 ? released('w', one) : settled('w', one, tokens))),
      );
      ended.push(...requests.map((request) => request.id));
    }
  });

  const usage = (ids: readonly string[]) => createConsumptionLedger(database().pool, { enforceQuota: true }).usageOf('w', [...ids]);

  it('names what is not recorded yet, finds it to be reported again, and nothing once it is there', async () => {
    await sink().publish(await usage(ended.slice(2)));
    assert.deepEqual((await audit()).laws, [`2 × ${EVENT_OF_EACH}`]);
    const look = createUnreportedUsage(database().pool, books());
    const page = await look.nextPage(0, 2_000);
    assert.equal(page.complete, true);
    const unreported = page.unreported.map((hold) => hold.id);
    assert.deepEqual(unreported.sort(), ended.slice(0, 2).sort());
    await sink().publish(await usage(unreported));
    assert.deepEqual(await audit(), { checked: { pools: 1, consumptions: 1_200, purchases: 0, usageEvents: 1_200 }, laws: [] });
    await createUsageMaintenance(keyspace().client, retention, { quietFraction: 0 }).fold(100_000);
    assert.deepEqual((await audit()).laws, []);
  });

  it('names an event with another outcome, one that was never charged, and one that only one table knows', async () => {
    const { client } = keyspace();
    const [first] = await usage(ended.slice(1, 2));
    assert.ok(first);
    await client.execute('UPDATE token_usage_events SET tokens = ? WHERE id = ?', [BigInt(first.tokens) + 1n, first.id]);
    assert.deepEqual((await audit()).laws, [`1 × ${EVENT_OF_EACH}`, `1 × ${CHARGE_OF_EACH}`]);
    await client.execute('UPDATE token_usage_events SET tokens = ? WHERE id = ?', [BigInt(first.tokens), first.id]);
    await client.execute('DELETE FROM token_usage_events WHERE id = ?', [first.id]);
    assert.deepEqual((await audit()).laws, [`1 × ${EVENT_OF_EACH}`, `1 × ${ROLL_UPS}`]);
    await sink().publish([first, event({ id: id(77), timestamp: new Date().toISOString() })]);
    assert.deepEqual((await audit()).laws, [`1 × ${CHARGE_OF_EACH}`]);
  });
});
