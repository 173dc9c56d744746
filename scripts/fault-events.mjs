// npm run fault:events -- --events 100000 --kills 5: the long form of test/faults/events.test.ts, with its figures on stderr.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '5' },
    store: { type: 'string', default: 'cassandra' },
  },
});
if (!['cassandra', 'postgres'].includes(values.store)) {
  console.error(`--store: ${values.store} is neither cassandra nor postgres`);
  process.exit(2);
}
for (const name of ['events', 'kills']) {
  const value = values[name];
  if (/^[1-9]\d*$/.test(value)) continue;
  console.error(`--${name}: ${value} is not a positive whole number`);
  process.exit(2);
}
const child = spawn(process.execPath, [path.join(import.meta.dirname, 'test.mjs'), 'test/faults/events.test.ts'], {
  stdio: 'inherit',
  cwd: path.dirname(import.meta.dirname),
  env: { ...process.env, LEAKY_FAULT_EVENTS: values.events, LEAKY_FAULT_KILLS: values.kills, LEAKY_FAULT_STORE: values.store },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => (process.exitCode = signal ? 1 : code));
