import type { Client, types } from 'cassandra-driver';
import type { RecordedUsage, UsageBooks } from '../../activities/reconciliation-ports.js';
import type { ProviderName } from '../../contracts/providers.js';
import { inLanes } from './connection.js';
import type { Retention } from './usage-buckets.js';
import { countMismatches } from './usage-recount.js';

const LANES = 32;
const PAGE = 1_000;

const COLUMNS = 'id, provider, user_id, tokens, allowed';
const FIND = `SELECT ${COLUMNS} FROM token_usage_events WHERE id = ?`;
const ALL = `SELECT ${COLUMNS} FROM token_usage_events`;

export function createUsageBooks(client: Client, retention: Retention): UsageBooks {
  return {
    keptSince: () => new Date(retention.oldest()),

    async find(ids) {
      const found = new Map<string, RecordedUsage>();
      await inLanes(ids, LANES, async (id) => {
        const row = (await client.execute(FIND, [id])).first();
        if (row) found.set(id, recorded(row));
      });
      return found;
    },

    async *all() {
      let pageState: string | undefined;
      do {
        const page = await client.execute(ALL, [], { fetchSize: PAGE, ...(pageState !== undefined && { pageState }) });
        yield page.rows.map(recorded);
        pageState = page.pageState ?? undefined;
      } while (pageState !== undefined);
    },

    rollUpMismatches: () => countMismatches(client, retention),
  };
}

const recorded = (row: types.Row): RecordedUsage => ({
  id: String(row.id),
  provider: row.provider as ProviderName,
  userId: String(row.user_id),
  tokens: Number(row.tokens),
  allowed: row.allowed as boolean,
});
