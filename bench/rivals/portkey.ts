import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../embedded/ports.js';
import { answering, cleanEnvironment, startChild } from '../children.js';
import type { Beside } from '../stage.js';
import { installed } from './install.js';

const VERSION = '1.15.2';

/** Portkey's gateway as its package starts it. It keeps no accounts, checks no key of its callers and holds no quota. */
export async function startPortkey(say: (line: string) => void): Promise<Beside> {
  const folder = await installed(`portkey-${VERSION}`, say, async (folder, run) => {
    writeFileSync(path.join(folder, 'package.json'), '{"private": true}\n');
    await run('npm', ['install', `@portkey-ai/gateway@${VERSION}`, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild({
    name: 'portkey',
    command: process.execPath,
    args: [path.join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js'), `--port=${port}`, '--headless'],
    environment: { ...cleanEnvironment(), NODE_ENV: 'production' },
    cwd: folder,
    ready: answering(url),
  });
  return { ...child, url };
}
