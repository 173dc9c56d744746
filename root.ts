import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';

/** The folder of package.json: compiled code runs from dist/, while SQL, scripts and recorded histories stay in the source tree. */
export const projectRoot = find(path.dirname(fileURLToPath(import.meta.url)));

/** The folder the compiled code runs from. */
export const distRoot = path.dirname(fileURLToPath(import.meta.url));

function find(folder: string): string {
  if (existsSync(path.join(folder, 'package-lock.json'))) return folder;
  const parent = path.dirname(folder);
  if (parent === folder) throw new Error('package-lock.json was not found above the compiled code');
  return find(parent);
}
