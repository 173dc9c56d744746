import assert from 'node:assert/strict';
import { connectTemporal, type Temporal } from '../../adapters/temporal/connection.js';
import { loadConfig } from '../../config.js';
import { findTemporalCli } from '../../embedded/temporal-cli.js';
import { startTemporal } from '../../embedded/temporal-server.js';
import { freePort } from '../../embedded/ports.js';
import { createLogger } from '../../telemetry/log.js';
import { installTemporalRuntime } from '../../telemetry/temporal-runtime.js';
import { ensureSearchAttributes } from '../../temporal-config/search-attributes.js';
import { atEnd, temporaryFolder } from './servers.js';

const PATIENCE_MS = 20_000;
const HOOK_TIMEOUT_MS = 600_000;

let server: Promise<Temporal> | undefined;

/** One real dev server per mocha run, headless on a free port, and one connection to it. Both end with the run. */
export function startTestTemporal(): Promise<Temporal> {
  server ??= start();
  return server;
}

async function start(): Promise<Temporal> {
  const config = loadConfig();
  const progress = (line: string) => process.stderr.write(`${line}\n`);
  const cli = await findTemporalCli({
    explicit: config.temporal.cli,
    searchPath: config.temporal.searchPath,
    cacheDir: config.cacheDir,
    progress,
  });
  const port = await freePort();
  const child = await startTemporal({ cli, dataDir: temporaryFolder('temporal'), port, uiPort: null, namespace: 'default' });
  atEnd(() => child.stop());
  installTemporalRuntime(createLogger(process.env.LEAKY_LOG_LEVEL ?? 'silent'));
  const temporal = await connectTemporal({ address: `127.0.0.1:${port}`, namespace: 'default', patienceMs: PATIENCE_MS });
  atEnd(() => temporal.close());
  await ensureSearchAttributes(temporal.connection, 'default');
  return temporal;
}

/** For use at the top of a `describe`: `const temporal = withTemporal();` … `temporal().client`. */
export function withTemporal(): () => Temporal {
  let temporal: Temporal | undefined;
  before('a Temporal dev server', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    temporal = await startTestTemporal();
  });
  return () => {
    assert.ok(temporal, 'the server runs only while tests run');
    return temporal;
  };
}
