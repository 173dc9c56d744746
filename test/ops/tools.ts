import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../root.js';

export const INSTALL_TIMEOUT_MS = 300_000;

let folder: string | undefined;

/** Puts the checkers into the cache at the first call; nothing but a look at it when they are there. @throws Error when they can't be had */
export function installTools(): string {
  if (folder) return folder;
  const run = (command: string) =>
    spawnSync('bash', [path.join(projectRoot, 'scripts/ops-tools.sh'), command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  assert.equal(run('install').status, 0, 'the checkers could not be installed; the messages are above');
  return (folder = run('folder').stdout.trim());
}

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

const TOOLS = {
  hadolint: 'python/bin/hadolint',
  'kubernetes-validate': 'python/bin/kubernetes-validate',
  kustomize: 'bin/kustomize',
  'compose-spec': 'bin/compose-spec',
};

/** Runs one of them in the project's folder, with this environment added. */
export function tool(name: keyof typeof TOOLS, args: readonly string[], environment: Record<string, string> = {}): Promise<Ran> {
  const home = installTools();
  return run(path.join(home, TOOLS[name]), args, { PATH: process.env.PATH, PYTHONPATH: path.join(home, 'python'), ...environment });
}

export async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd = projectRoot): Promise<Ran> {
  try {
    return { code: 0, ...(await promisify(execFile)(command, args, { cwd, env, maxBuffer: 32 << 20, timeout: 120_000 })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}
