import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../root.js';

const INSTALL_TIMEOUT_MS = 900_000;

export type RunCommand = (command: string, args: readonly string[]) => Promise<void>;

/**
 * Installs a tool of the benchmark once, into a folder of its own below .cache: none of them is a dependency of the product.
 * The folder's name holds the version, so another version is another installation.
 */
export async function installed(
  name: string,
  say: (line: string) => void,
  install: (folder: string, run: RunCommand) => Promise<void>,
): Promise<string> {
  const folder = path.join(projectRoot, '.cache/bench-tools', name);
  const stamp = path.join(folder, '.installed');
  if (existsSync(stamp)) return folder;
  say(`Installing ${name} (once)`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const run: RunCommand = async (command, args) => {
    await promisify(execFile)(command, args, { cwd: folder, timeout: INSTALL_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 });
  };
  await install(folder, run);
  writeFileSync(stamp, '');
  return folder;
}
