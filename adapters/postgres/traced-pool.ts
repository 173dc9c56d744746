import type pg from 'pg';
import { activeTracer, traced } from '../../telemetry/tracing.js';

type Query = (...args: unknown[]) => unknown;

/** Each statement of the pool, and of transactions on its connections, becomes a span. Statements are named, their values never shown. */
export function tracePool(pool: pg.Pool): pg.Pool {
  if (!activeTracer()) return pool;
  pool.query = spanned(pool.query.bind(pool) as Query) as typeof pool.query;
  // `pool.query` asks the connection with a callback, and in whatever context the connection came free: those have their span.
  pool.on('connect', (client) => (client.query = spanned(client.query.bind(client) as Query) as typeof client.query));
  return pool;
}

const spanned =
  (query: Query): Query =>
  (...args) => {
    if (typeof args.at(-1) === 'function') return query(...args);
    const [statement] = args as [string | { name?: string; text?: string }];
    const { name, text = '' } = typeof statement === 'string' ? { text: statement } : statement;
    const attributes = { 'db.system.name': 'postgresql', 'db.query.text': text.replace(/\s+/g, ' ').trim().slice(0, 500) };
    return traced(`postgres ${name ?? verbOf(text)}`, { kind: 'client', attributes }, () => query(...args) as Promise<unknown>);
  };

const verbOf = (text: string): string => /^\s*(\w+)/.exec(text)?.[1]?.toUpperCase() ?? 'query';
