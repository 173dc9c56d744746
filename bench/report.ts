import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { chart } from './chart.js';
import { totalCpu, type Cell, type Run } from './measure.js';

/** A line of bench/results.json. Ratios are this variant's throughput against each other variant's, in the same rounds. */
export interface Row {
  scenario: string;
  variant: string;
  provider: string;
  concurrency: number;
  opsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** All processes together; null where it is not known */
  cpuMsPerOp: number | null;
  ratios: Record<string, number>;
}

/** What the table shows besides */
export interface Measured extends Row {
  slowest: number;
  fastest: number;
  cpu: Record<string, number>;
  memory: Record<string, number>;
  refused: number;
  unanswered: number;
}

export const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
};

/** Medians over the rounds. A ratio is the median of the rounds' ratios: what slows a whole round down cancels out. */
export function summarise(cell: Cell, runs: ReadonlyMap<string, readonly Run[]>): Measured[] {
  const speeds = new Map([...runs].map(([name, list]) => [name, list.map((run) => run.load.opsPerSecond)]));
  return [...runs].map(([variant, list]) => {
    const own = speeds.get(variant) ?? [];
    const others = [...speeds].filter(([name]) => name !== variant);
    const ratios = others.map(([name, speed]) => [name, round(median(own.map((ops, index) => ops / (speed[index] ?? NaN))), 3)]);
    const cpu = averages(list.map((run) => run.cpu));
    return {
      scenario: cell.scenario,
      variant,
      provider: cell.provider,
      concurrency: cell.concurrency,
      opsPerSecond: round(median(own), 1),
      p50Ms: round(median(list.map((run) => run.load.p50Ms)), 1),
      p99Ms: round(median(list.map((run) => run.load.p99Ms)), 1),
      cpuMsPerOp: Object.keys(cpu).length > 0 ? round(median(list.map(totalCpu)), 2) : null,
      ratios: Object.fromEntries(ratios) as Record<string, number>,
      slowest: Math.min(...own),
      fastest: Math.max(...own),
      cpu,
      memory: averages(list.map((run) => run.memory)),
      refused: list.reduce((sum, run) => sum + Object.values(run.load.refused).reduce((a, b) => a + b, 0), 0),
      unanswered: list.reduce((sum, run) => sum + run.load.unanswered, 0),
    };
  });
}

function averages(maps: readonly ReadonlyMap<string, number>[]): Record<string, number> {
  const names = new Set(maps.flatMap((map) => [...map.keys()]));
  return Object.fromEntries([...names].map((name) => [name, round(median(maps.map((map) => map.get(name) ?? 0)), 2)]));
}

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));

const COLUMNS = [
  'scenario',
  'variant',
  'provider',
  'c',
  'ops/s',
  'min–max',
  'p50 ms',
  'p99 ms',
  'CPU ms/op',
  'of which',
  'MB',
  'against others',
];

/** A table in Markdown, aligned so that a terminal shows it as well. */
export function table(rows: readonly Measured[]): string {
  const cells = rows.map((row) => [
    row.scenario,
    row.variant,
    row.provider,
    String(row.concurrency),
    row.opsPerSecond.toFixed(1),
    `${row.slowest.toFixed(0)}–${row.fastest.toFixed(0)}`,
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    row.cpuMsPerOp === null ? '–' : row.cpuMsPerOp.toFixed(2),
    joined(row.cpu, (ms) => ms.toFixed(2)),
    joined(row.memory, (bytes) => (bytes / 1_048_576).toFixed(0)),
    Object.entries(row.ratios)
      .map(([name, ratio]) => `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}× ${name}`)
      .concat(row.refused > 0 ? [`${row.refused} refused`] : [], row.unanswered > 0 ? [`${row.unanswered} unanswered`] : [])
      .join(', '),
  ]);
  const widths = COLUMNS.map((name, index) => Math.max(name.length, ...cells.map((cell) => cell[index]?.length ?? 0)));
  const line = (cell: readonly string[]) => `| ${cell.map((text, index) => text.padEnd(widths[index] ?? 0)).join(' | ')} |`;
  return [line(COLUMNS), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}

const joined = (values: Record<string, number>, show: (value: number) => string): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(', ');

export const machine = (): string =>
  `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(0)} GB, Node ${process.versions.node}`;

/** Writes results.json and results.svg. Rows of scenarios that were not run this time are kept. */
export function save(folder: string, measured: readonly Measured[]): void {
  const file = path.join(folder, 'results.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Row[]) : [];
  const renewed = new Set(measured.map((row) => row.scenario));
  const rows = [...before.filter((row) => !renewed.has(row.scenario)), ...measured.map(rowOf)];
  writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
  writeFileSync(path.join(folder, 'results.svg'), chart(rows));
}

const rowOf = ({ scenario, variant, provider, concurrency, opsPerSecond, p50Ms, p99Ms, cpuMsPerOp, ratios }: Measured): Row => ({
  scenario,
  variant,
  provider,
  concurrency,
  opsPerSecond,
  p50Ms,
  p99Ms,
  cpuMsPerOp,
  ratios,
});
