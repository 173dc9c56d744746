import { spawnGuarded } from '../../embedded/child.js';

/** A process of its own that watchdog.test.ts kills: starts the given shell script as a guarded child and prints the watchdog's pid. */
const [script = '', logFile = '', graceSeconds = '5'] = process.argv.slice(2);
const child = await spawnGuarded({
  name: 'the child',
  command: '/bin/sh',
  args: ['-c', script],
  signal: 'TERM',
  graceSeconds: Number(graceSeconds),
  logFile,
  env: { PATH: process.env.PATH },
  cwd: '/',
});
process.stdout.write(`${child.pid}\n`);
setInterval(() => undefined, 60_000);
