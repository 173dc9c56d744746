import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../root.js';

/**
 * A folder for one mocha run's servers, inside the project so that nothing is left elsewhere. Removed when the process ends: by
 * then the servers have ended too, and mocha runs no hook at all when no test was chosen.
 */
export function temporaryFolder(name: string): string {
  const parent = path.join(projectRoot, '.cache');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, `test-${name}-`));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];
process.once('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })));

const endings: (() => Promise<void>)[] = [];
const ENDING_TIMEOUT_MS = 60_000;
const LINGER_MS = 30_000;

/** Runs after the last test of the mocha run, latest first. Should mocha be killed, the servers' watchdogs end them. */
export function atEnd(action: () => Promise<void>): void {
  endings.push(action);
}

// Outside every `describe`, thus once, after all files. This module is evaluated while mocha loads the first file that needs it.
after('end the shared servers', async function () {
  this.timeout(ENDING_TIMEOUT_MS);
  const faults: unknown[] = [];
  // One server that does not end must not keep the others alive, nor mocha with them.
  for (const action of endings.splice(0).reverse()) await action().catch((error: unknown) => faults.push(error));
  endWhatLingers();
  if (faults.length > 0) throw new AggregateError(faults, faults.map(String).join('; '));
});

/** Whatever a test forgot to close must be said, and must not keep the run from ending. The exit code is that of the tests. */
function endWhatLingers(): void {
  const end = () => {
    process.stderr.write(`Something was not closed and keeps the run alive: ${process.getActiveResourcesInfo().join(', ')}\n`);
    process.exit();
  };
  setTimeout(end, LINGER_MS).unref();
}
