import type { Row } from './report.js';

interface Goal {
  what: string;
  /** null: not measured this time */
  value: (rows: readonly Row[]) => number | null;
  atLeast?: number;
  atMost?: number;
}

interface Cell {
  scenario: string;
  provider?: string;
  concurrency: number;
}

const find = (rows: readonly Row[], { scenario, provider, concurrency }: Cell, variant: string): Row | undefined =>
  rows.find(
    (row) =>
      row.scenario === scenario &&
      row.concurrency === concurrency &&
      row.variant === variant &&
      (provider === undefined || row.provider === provider),
  );

const ratio =
  (cell: Cell, variant: string, against: string) =>
  (rows: readonly Row[]): number | null =>
    find(rows, cell, variant)?.ratios[against] ?? null;

const consume = (provider: string, concurrency: number): Cell => ({ scenario: 'consume', provider, concurrency });
const gateway = (provider: string, concurrency: number): Cell => ({ scenario: 'gateway', provider, concurrency });

/** What the workflow adds to a lone caller's wait, as a share of what a workflow per request adds. */
function addedShare(rows: readonly Row[]): number | null {
  const [ours, direct, textbook] = ['leaky', 'direct', 'textbook'].map((variant) => find(rows, consume('50 ms', 1), variant)?.p50Ms);
  return ours && direct && textbook ? (ours - direct) / (textbook - direct) : null;
}

/** Goodput at three times the load against the peak. */
function goodputShare(rows: readonly Row[]): number | null {
  const at = (scenario: string) => rows.find((row) => row.scenario === scenario && row.provider === '50 ms')?.opsPerSecond;
  const [peak, over] = [at('overload: peak'), at('overload: 3×')];
  return peak && over ? over / peak : null;
}

const GOALS: readonly Goal[] = [
  { what: 'consume, 50 ms, c=200: against no workflow', value: ratio(consume('50 ms', 200), 'leaky', 'direct'), atLeast: 0.9 },
  { what: 'consume, 50 ms, c=64: against no workflow', value: ratio(consume('50 ms', 64), 'leaky', 'direct'), atLeast: 0.5 },
  { what: 'consume, 0 ms, c=400: against no workflow', value: ratio(consume('0 ms', 400), 'leaky', 'direct'), atLeast: 1 },
  { what: 'consume, 50 ms, c=64: against a workflow per request', value: ratio(consume('50 ms', 64), 'leaky', 'textbook'), atLeast: 20 },
  { what: 'consume, 50 ms, c=1: added p50, share of a workflow per request', value: addedShare, atMost: 0.35 },
  { what: 'gateway, 0 ms, c=200: against Portkey', value: ratio(gateway('0 ms', 200), 'gateway', 'portkey'), atLeast: 1 },
  { what: 'gateway, 0 ms, c=200: against LiteLLM', value: ratio(gateway('0 ms', 200), 'gateway', 'litellm'), atLeast: 8 },
  {
    what: 'consume, 0 ms, c=200: CPU ms of all processes',
    value: (rows) => find(rows, consume('0 ms', 200), 'leaky')?.cpuMsPerOp ?? null,
    atMost: 2.5,
  },
  {
    what: 'consume, 50 ms, c=200: CPU ms of all processes',
    value: (rows) => find(rows, consume('50 ms', 200), 'leaky')?.cpuMsPerOp ?? null,
    atMost: 2.5,
  },
  { what: 'gateway, 50 ms, c=64: against the token service', value: ratio(gateway('50 ms', 64), 'gateway', 'tokens'), atLeast: 0.75 },
  { what: 'gateway, 0 ms, c=64: against the token service', value: ratio(gateway('0 ms', 64), 'gateway', 'tokens'), atLeast: 0.75 },
  {
    what: 'hot-pool, 50 ms, c=200: one pool against many',
    value: ratio({ scenario: 'hot-pool', provider: '50 ms', concurrency: 200 }, 'one pool', 'own pools'),
    atLeast: 0.8,
  },
  {
    what: 'ledger, 50 ms, c=200: 10⁶ consumptions against none',
    value: ratio({ scenario: 'ledger', provider: '50 ms', concurrency: 200 }, 'full', 'empty'),
    atLeast: 0.9,
  },
  {
    what: 'users, 50 ms, c=200: 10⁵ users against 10',
    value: ratio({ scenario: 'users', provider: '50 ms', concurrency: 200 }, 'many', 'ten'),
    atLeast: 0.9,
  },
  {
    what: 'purchase, c=16: against a bare workflow',
    value: ratio({ scenario: 'purchase', concurrency: 16 }, 'leaky', 'bare'),
    atLeast: 0.8,
  },
  { what: 'overload, 50 ms: goodput at three times the load against the peak', value: goodputShare, atLeast: 0.8 },
];

/** One line for each goal that was measured. Nothing fails by it: figures depend on the machine. */
export function judged(rows: readonly Row[]): string {
  const lines = GOALS.flatMap(({ what, value, atLeast, atMost }) => {
    const figure = value(rows);
    if (figure === null) return [];
    const met = (atLeast === undefined || figure >= atLeast) && (atMost === undefined || figure <= atMost);
    const wanted = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
    return [`${met ? 'met   ' : 'MISSED'}  ${what}: ${figure.toFixed(2)} (${wanted})`];
  });
  return lines.join('\n');
}
