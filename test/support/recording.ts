import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { writeHistory, type History } from '../../adapters/temporal/history-json.js';
import { distRoot, projectRoot } from '../../root.js';

export const historiesFolder = path.join(projectRoot, 'test/replay/histories');

/**
 * Makes a history one of those that every later version of the workflows has to replay. Where it was recorded is nobody's
 * business and would change with every recording: process identities and paths go, all that a replay reads stays.
 */
export function saveHistory(name: string, history: History): void {
  mkdirSync(historiesFolder, { recursive: true });
  const anonymous = writeHistory(history)
    .replaceAll(`${distRoot}/`, '')
    .replaceAll(`${projectRoot}/`, '')
    .replaceAll(new RegExp(`\\d+@${hostname()}`, 'g'), 'recorder');
  writeFileSync(path.join(historiesFolder, `${name}.json`), anonymous);
}
