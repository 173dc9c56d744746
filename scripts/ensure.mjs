// Makes a fresh clone runnable, for the other scripts or by itself. Runs before anything is installed, so it uses Node alone.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const NEEDED = [20, 19];

/** Installs the packages of package-lock.json unless exactly these are there, then builds. A start with nothing to do pays milliseconds. */
export async function ensureBuilt() {
  requireNode();
  if (!installed()) install();
  const { isBuilt } = await import('./build.mjs');
  if (!isBuilt()) build();
}

/** In a process of its own: bundling takes 200 MB, which a process that goes on to serve would keep. */
function build() {
  const { status } = spawnSync(process.execPath, [path.join(root, 'scripts/build.mjs')], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) fail('The build failed; its messages are above.');
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return;
  fail(`Node ${NEEDED.join('.')} or newer is needed; this is ${process.version}.`);
}

/** npm leaves a list of what it installed: it is complete when every package of ours is in it, with that version. */
function installed() {
  const list = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(list)) return false;
  const present = JSON.parse(readFileSync(list, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(([name, { version, optional }]) => {
    if (name === '' || (optional && !present[name])) return true;
    return present[name]?.version === version;
  });
}

function install() {
  console.error('Installing packages (once; about a minute)');
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // The npm that started us, else the one on PATH.
  const npm = process.env.npm_execpath;
  const [command, prefix] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { status, error } = spawnSync(command, [...prefix, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (error) fail(`npm could not be started: ${error.message}`);
  if (status !== 0) fail('npm ci failed; its messages are above.');
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await ensureBuilt();
