// npm run bench:million [-- --events 1000000 --users 10000 --hours 48]: reports on Cassandra over that many events. Uses
// LEAKY_CASSANDRA_CONTACT_POINTS, or a node of its own that is gone afterwards.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './ensure.mjs';

await ensureBuilt();
const { distFolder } = await import('./build.mjs');

if (!process.env.LEAKY_CASSANDRA_CONTACT_POINTS) {
  const { freePortBlock } = await import(pathToFileURL(`${distFolder}/embedded/ports.js`).href);
  const port = await freePortBlock(2);
  const folder = mkdtempSync(path.join(tmpdir(), 'leaky-million-'));
  const script = path.join(import.meta.dirname, 'servers/cassandra.sh');
  const server = (...args) =>
    execFileSync('bash', [script, ...args], { stdio: 'inherit', env: { ...process.env, LEAKY_SERVER_OWNER: String(process.pid) } });
  process.once('exit', () => {
    server('stop', folder);
    rmSync(folder, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  server('start', folder, String(port));
  process.argv.push('--keep');
  process.env.LEAKY_CASSANDRA_CONTACT_POINTS = `127.0.0.1:${port}`;
}
await import(pathToFileURL(`${distFolder}/bench/million/main.js`).href);
