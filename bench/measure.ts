import { runLoad, type LoadJob, type LoadResult } from './load.js';
import { resourceUse } from './usage.js';

/** One of several that get the same load in turns. */
export interface Variant {
  name: string;
  job: Omit<LoadJob, 'connections' | 'seconds' | 'rate'>;
  /** Whose CPU its work costs */
  processes: readonly { name: string; pid: number }[];
  /** Resolves when nothing of a load run is still being worked on */
  settled?: () => Promise<void>;
  /** Learns what callers were told */
  told?: (result: LoadResult) => void;
  /** Open-loop load that goes on meanwhile, begun so long before that it is under way; its calls are told, too, and cost CPU as well */
  beside?: { job: Variant['job']; rate: number; connections: number; leadSeconds: number };
  /** Which gets other connections than the cell says */
  connections?: number;
}

export interface Cell {
  scenario: string;
  /** How long the provider takes, or what stands in its place */
  provider: string;
  concurrency: number;
  /** Open loop at this rate */
  rate?: number;
  /** The first is the one to judge: its ratios are against the others */
  variants: readonly Variant[];
}

export interface Run {
  load: LoadResult;
  /** Milliseconds for each operation that ended well, by program */
  cpu: Map<string, number>;
  /** Bytes at the end of the run, by program */
  memory: Map<string, number>;
}

export interface Effort {
  rounds: number;
  seconds: number;
  warmUpSeconds: number;
}

export type Say = (line: string) => void;

/** Rounds of A B C, A B C …: what the machine does besides meets all of them alike. */
export async function measureInTurns(cell: Cell, effort: Effort, say: Say): Promise<Map<string, Run[]>> {
  const runs = new Map<string, Run[]>(cell.variants.map((variant) => [variant.name, []]));
  if (effort.warmUpSeconds > 0) for (const variant of cell.variants) await measure(cell, variant, effort.warmUpSeconds);
  for (let round = 1; round <= effort.rounds; round++) {
    for (const variant of cell.variants) {
      const run = await measure(cell, variant, effort.seconds);
      runs.get(variant.name)?.push(run);
      say(`  ${round}/${effort.rounds} ${variant.name}: ${describe(run)}`);
    }
  }
  return runs;
}

async function measure(cell: Cell, variant: Variant, seconds: number): Promise<Run> {
  const connections = variant.connections ?? cell.concurrency;
  const before = resourceUse(variant.processes);
  const { beside } = variant;
  const meanwhile =
    beside && runLoad({ ...beside.job, connections: beside.connections, seconds: beside.leadSeconds + seconds, rate: beside.rate });
  if (beside) await new Promise((resolve) => setTimeout(resolve, beside.leadSeconds * 1_000));
  const load = await runLoad({ ...variant.job, connections, seconds, ...(cell.rate !== undefined && { rate: cell.rate }) });
  const other = await meanwhile;
  if (other) variant.told?.(other);
  await variant.settled?.();
  const after = resourceUse(variant.processes);
  variant.told?.(load);
  const cpu = new Map([...after].map(([name, { cpuMs }]) => [name, (cpuMs - (before.get(name)?.cpuMs ?? 0)) / load.ok]));
  return { load, cpu, memory: new Map([...after].map(([name, { residentBytes }]) => [name, residentBytes])) };
}

export const totalCpu = (run: Run): number => [...run.cpu.values()].reduce((sum, ms) => sum + ms, 0);

function describe(run: Run): string {
  const { opsPerSecond, p50Ms, p99Ms, refused, unanswered } = run.load;
  const others = Object.entries(refused).map(([status, count]) => `, ${count} × ${status}`);
  const lost = unanswered > 0 ? `, ${unanswered} unanswered` : '';
  const cpu = [...run.cpu].map(([name, ms]) => `${name} ${ms.toFixed(2)}`).join(' + ');
  return `${opsPerSecond.toFixed(1)}/s, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, CPU ${cpu} ms${others.join('')}${lost}`;
}
