import { judged } from './goals.js';
import type { Effort, Say } from './measure.js';
import { save, table, type Measured } from './report.js';
import type { Scenario } from './scenarios/scenario.js';
import { Stage, type Extent } from './stage.js';

export interface BenchOptions {
  scenarios: readonly Scenario[];
  effort: Effort;
  extent: Extent;
  /** Where results.json and results.svg go; null: nowhere */
  folder: string | null;
  say: Say;
}

export interface BenchOutcome {
  measured: readonly Measured[];
  /** What went wrong, in running a scenario or in the books; nothing when all is well */
  faults: readonly string[];
}

/** Runs the scenarios, holds their answers against the books, and stops all that it started, also when one fails. */
export async function runBench({ scenarios, effort, extent, folder, say }: BenchOptions): Promise<BenchOutcome> {
  const stage = new Stage(effort, extent, say);
  try {
    const faults: string[] = [];
    for (const scenario of scenarios) {
      try {
        await scenario.run(stage);
      } catch (error) {
        faults.push(`${scenario.name} could not be run: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        say(faults.at(-1) ?? '');
      }
    }
    faults.push(...(await stage.account()));
    say(`\n${table(stage.measured)}\n\n${judged(stage.measured)}`);
    if (folder !== null && faults.length === 0) save(folder, stage.measured);
    return { measured: stage.measured, faults };
  } finally {
    await stage.stop();
  }
}
