// npm test: installs what is missing, the servers of the full stack among it, builds, and runs the tests. Arguments go to mocha: `npm test -- test/auth -g login`.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ensureBuilt } from './ensure.mjs';
import { installServers } from './servers.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');

const args = process.argv.slice(2).map(compiled);
const chosen = args.some((arg) => arg.startsWith(distFolder));
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
// Before the first test, whose time is not for this. Tests chosen by hand bring only what they use.
if (!chosen) installServers();
const everything = chosen ? [] : [path.join(distFolder, 'test/**/*.test.js')];
const child = spawn(process.execPath, ['--enable-source-maps', mocha, ...everything, ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => (process.exitCode = signal ? 1 : code));

/** A source file or folder given by hand stands for its compiled tests. */
function compiled(arg) {
  if (!existsSync(arg)) return arg;
  const target = path.join(distFolder, path.relative(path.dirname(import.meta.dirname), path.resolve(arg)));
  return statSync(arg).isDirectory() ? path.join(target, '**/*.test.js') : target.replace(/\.ts$/, '.js');
}
