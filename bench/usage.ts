import { readdirSync, readFileSync } from 'node:fs';

/** Of a process and all below it, by the name of the program: `leaky`, `postgres`, `temporal`. */
export type ResourceUse = ReadonlyMap<string, { cpuMs: number; residentBytes: number }>;

/** Linux counts CPU in hundredths of a second, whatever the kernel's own tick is. */
const TICK_MS = 10;
const PROGRAMS = ['postgres', 'temporal'];

interface Process {
  pid: number;
  parent: number;
  program: string;
  cpuMs: number;
}

/**
 * CPU so far and memory now. The time of children that have ended is in their parents' figures, so the difference of two samples
 * misses no connection that came and went. Memory is the proportional share (PSS): pages that server processes share count once.
 * Empty where there is no /proc.
 */
export function resourceUse(roots: readonly { name: string; pid: number }[]): ResourceUse {
  const processes = readProcesses();
  const use = new Map<string, { cpuMs: number; residentBytes: number }>();
  for (const root of roots) {
    for (const process of withDescendants(processes, root.pid)) {
      const name = PROGRAMS.includes(process.program) ? process.program : root.name;
      const sum = use.get(name) ?? { cpuMs: 0, residentBytes: 0 };
      use.set(name, { cpuMs: sum.cpuMs + process.cpuMs, residentBytes: sum.residentBytes + residentBytes(process.pid) });
    }
  }
  return use;
}

/** Resident memory of one process alone. */
function residentBytes(pid: number): number {
  const rollup = read(`/proc/${pid}/smaps_rollup`);
  const kilobytes = /^Pss:\s+(\d+) kB/m.exec(rollup ?? '')?.[1] ?? /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function readProcesses(): Process[] {
  const names = listProc();
  return names.flatMap((name) => {
    const stat = read(`/proc/${name}/stat`);
    if (stat === null) return [];
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime, stime, and those of the children that were waited for
    const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
    const program = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    return [{ pid: Number(name), parent: Number(fields[1]), program, cpuMs: ticks * TICK_MS }];
  });
}

function listProc(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    // Not Linux: there are figures of throughput and latency, and none of CPU.
    return [];
  }
}

function withDescendants(processes: readonly Process[], rootPid: number): Process[] {
  const found = processes.filter((process) => process.pid === rootPid);
  for (const { pid } of found) found.push(...processes.filter((process) => process.parent === pid));
  return found;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // It has ended since the folder was listed.
    return null;
  }
}
