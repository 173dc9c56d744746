import { Gauge } from 'prom-client';
import { registry } from './metrics.js';

/** What the ledger and the purchases hold at this moment, whatever process holds it. */
export interface BooksState {
  holds: { provider: string; count: number; tokens: number; oldestSeconds: number }[];
  purchases: { status: string; count: number; parked: number; oldestSeconds: number }[];
}

/** A scrape every few seconds by several servers must not become load, and one must not wait for a database that is away. */
const FRESH_MS = 5_000;
const PATIENCE_MS = 2_000;

let source: (() => Promise<BooksState>) | null = null;
let state: BooksState | null = null;
let readAt = -Infinity;
let reading: Promise<void> | undefined;

/**
 * From now on a scrape of this process tells the state of the books. Processes that do this all say the same: queries take the
 * maximum. While the database does not answer the gauges have no value, which is not zero.
 */
export function reportBooks(read: () => Promise<BooksState>): () => void {
  source = read;
  readAt = -Infinity;
  return () => {
    if (source === read) source = null;
  };
}

async function current(): Promise<BooksState | null> {
  const read = source;
  if (!read) return null;
  if (Date.now() - readAt >= FRESH_MS) {
    reading ??= inTime(read())
      .catch(() => null)
      .then((answer) => {
        state = answer;
        readAt = Date.now();
        reading = undefined;
      });
    await reading;
  }
  return state;
}

function bookGauge(name: string, help: string, labelNames: string[], fill: (gauge: Gauge, books: BooksState) => void): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      const books = await current();
      this.reset();
      if (books) fill(this, books);
      // Without labels a reset leaves a zero.
      else if (labelNames.length === 0) this.remove();
    },
  });
}

bookGauge('leaky_holds', 'Consumptions that hold quota now', ['provider'], (gauge, { holds }) => {
  for (const { provider, count } of holds) gauge.set({ provider }, count);
});
bookGauge('leaky_held_tokens', 'Tokens on hold now', ['provider'], (gauge, { holds }) => {
  for (const { provider, tokens } of holds) gauge.set({ provider }, tokens);
});
bookGauge('leaky_oldest_hold_seconds', 'Age of the oldest hold; 0 without holds', [], (gauge, { holds }) =>
  gauge.set(Math.max(0, ...holds.map((row) => row.oldestSeconds))),
);
bookGauge('leaky_purchases_open', 'Purchases that have not ended, by saga status', ['status'], (gauge, { purchases }) => {
  for (const { status, count } of purchases) gauge.set({ status }, count);
});
bookGauge(
  'leaky_oldest_open_purchase_seconds',
  'Age of the oldest purchase that has not ended; 0 without one',
  [],
  (gauge, { purchases }) => gauge.set(Math.max(0, ...purchases.map((row) => row.oldestSeconds))),
);
bookGauge('leaky_purchases_parked', 'Purchases with a step that keeps failing and waits for an operator', [], (gauge, { purchases }) =>
  gauge.set(purchases.reduce((sum, row) => sum + row.parked, 0)),
);

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error('late')), PATIENCE_MS)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What pg's pool tells of itself. */
export interface PoolCounts {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

const pools = new Set<PoolCounts>();
const sum = (count: (pool: PoolCounts) => number) => [...pools].reduce((total, pool) => total + count(pool), 0);

new Gauge({
  name: 'leaky_database_connections',
  help: 'Connections of the database pool, by state',
  labelNames: ['state'],
  registers: [registry],
  collect() {
    this.set(
      { state: 'idle' },
      sum((pool) => pool.idleCount),
    );
    this.set(
      { state: 'busy' },
      sum((pool) => pool.totalCount - pool.idleCount),
    );
  },
});
new Gauge({
  name: 'leaky_database_waiting',
  help: 'Statements that wait for a connection of the pool',
  registers: [registry],
  collect() {
    this.set(sum((pool) => pool.waitingCount));
  },
});

export function reportPool(pool: PoolCounts): () => void {
  pools.add(pool);
  return () => pools.delete(pool);
}
