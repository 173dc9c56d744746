import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../root.js';

/** A folder for one mocha run's servers, inside the project so that nothing is left elsewhere. Removed when the run ends. */
export function temporaryFolder(name: string): string {
  const parent = path.join(projectRoot, '.cache');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, `test-${name}-`));
  atEnd(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    return Promise.resolve();
  });
  return folder;
}

const endings: (() => Promise<void>)[] = [];
const ENDING_TIMEOUT_MS = 60_000;

/** Runs after the last test of the mocha run, latest first. Should mocha be killed, the servers' watchdogs end them. */
export function atEnd(action: () => Promise<void>): void {
  endings.push(action);
}

// Outside every `describe`, thus once, after all files. This module is evaluated while mocha loads the first file that needs it.
after('end the shared servers', async function () {
  this.timeout(ENDING_TIMEOUT_MS);
  for (const action of endings.splice(0).reverse()) await action();
});
