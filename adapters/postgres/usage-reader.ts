import type { SeriesBucket, UsageReader, UsageSummary, UsageTotals } from '../../api/analytics/ports.js';
import type { Database } from './pool.js';
import { conditionSql, factsSql, Parameters, TOTALS } from './usage-facts.js';
import { recentEvents } from './usage-recent.js';

/** Each method is one statement: a statement sees one snapshot, in which every event is either folded or not. */
export function createUsageReader(database: Pick<Database, 'query'>): UsageReader {
  return {
    recent: (provider, visibility, limit) => recentEvents(database, provider, visibility, limit),

    async summarise(provider, visibility, window, topUsers) {
      const parameters = new Parameters();
      const facts = factsSql(window, conditionSql({ provider }, visibility, parameters), parameters);
      const { rows } = await database.query<UsageSummary>(
        `WITH facts AS (${facts}),
          per_user AS MATERIALIZED (SELECT user_id, ${TOTALS} FROM facts GROUP BY user_id),
          top AS (SELECT user_id, tokens, events FROM per_user ORDER BY tokens DESC, events DESC, user_id LIMIT ${parameters.add(topUsers, 'int')})
        SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum("allowedEvents"), 0)::bigint AS "allowedEvents",
          coalesce(sum(tokens), 0)::bigint AS tokens, count(*) AS "uniqueUsers",
          (SELECT coalesce(json_agg(json_build_object('userId', user_id, 'totalTokens', tokens, 'events', events)
                                    ORDER BY tokens DESC, events DESC, user_id), '[]') FROM top) AS "topUsers"
        FROM per_user`,
        parameters.values,
      );
      return only(rows);
    },

    async totals(provider, visibility, windows) {
      const parameters = new Parameters();
      const condition = conditionSql({ provider }, visibility, parameters);
      const totals = windows.map(
        (window, index) => `SELECT ${index} AS index, ${TOTALS} FROM (${factsSql(window, condition, parameters)}) AS facts`,
      );
      const { rows } = await database.query<UsageTotals>(
        `SELECT events, "allowedEvents", tokens FROM (${totals.join('\nUNION ALL\n')}) AS windows ORDER BY index`,
        parameters.values,
      );
      return rows;
    },

    async series(filter, visibility, window, stepSeconds) {
      const parameters = new Parameters();
      const facts = factsSql(window, conditionSql(filter, visibility, parameters), parameters, stepSeconds);
      const step = parameters.add(stepSeconds, 'int');
      const { rows } = await database.query<SeriesBucket>(
        `WITH facts AS (${facts})
        SELECT date_bin(make_interval(secs => ${step}), at, 'epoch'::timestamptz) AS start, ${TOTALS}
        FROM facts GROUP BY 1 ORDER BY 1`,
        parameters.values,
      );
      return rows;
    },

    async ping() {
      await database.query('SELECT 1');
    },
  };
}

function only<T>(rows: T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('an aggregate without GROUP BY answered no row');
  return row;
}
