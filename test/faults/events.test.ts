import assert from 'node:assert/strict';
import type { Resources } from '../../compose/resources.js';
import { withTopics } from '../kafka/support.js';
import { withDatabase } from '../support/postgres.js';
import { withKeyspace } from '../support/keyspace.js';
import { cassandraStore, postgresStore } from './event-fault-stores.js';
import { killConsumers } from './event-kills.js';

/** `npm run fault:events -- --events 100000 --kills 5 --store cassandra` sets these; CI does the short form. */
const EVENTS = Number(process.env.LEAKY_FAULT_EVENTS ?? 5_000);
const KILLS = Number(process.env.LEAKY_FAULT_KILLS ?? 2);
const STORE = process.env.LEAKY_FAULT_STORE ?? 'cassandra';

describe('kill -9 of the consumer of events', function () {
  this.timeout(60_000 + KILLS * 30_000 + EVENTS * 10);
  let resources: Resources | undefined;
  after(() => resources?.close());
  const database = withDatabase();
  const topics = withTopics();
  const keyspace = STORE === 'cassandra' ? withKeyspace() : null;

  it(`${EVENTS} events, ${KILLS} kills: none is missing, none is double, counted by id and by roll-ups`, async () => {
    const { names, admin, environment } = topics();
    resources = topics().resources();
    const outcome = await killConsumers({
      events: EVENTS,
      kills: KILLS,
      store: keyspace ? cassandraStore(keyspace(), database()) : postgresStore(database()),
      usage: resources.events().usage,
      environment: { ...environment, LEAKY_LOG_LEVEL: 'error' },
      committed: async () => sentTo(await admin.fetchTopicOffsets(names.usage)) - (await topics().lag(names.usage)),
      say: (line) => process.stderr.write(`${line}\n`),
    });
    const { missing, doubled, strangers, counted, interrupted, redelivered } = outcome;
    assert.ok(interrupted > 0 && redelivered > 0, 'no consumer was killed between storing and committing');
    assert.deepEqual({ missing, doubled, strangers, counted }, { missing: 0, doubled: 0, strangers: 0, counted: EVENTS });
  });
});

const sentTo = (ends: { high: string }[]) => ends.reduce((sum, { high }) => sum + Number(high), 0);
