import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { createPool } from '../../adapters/postgres/pool.js';
import { distRoot, projectRoot } from '../../root.js';
import { People, type Person } from '../e2e/people.js';
import { eventually } from '../support/eventually.js';
import { startTestPostgres } from '../support/postgres.js';
import { temporaryFolder } from '../support/servers.js';
import { assertSound } from '../support/soundness.js';
import { startSystem, type System } from '../support/system.js';

const CALLERS = 16;
/** The stub is told so by the prompt. */
const HANGING = `SELECT id FROM consumptions WHERE state = 'HELD' AND request::text LIKE '%[stub:hang]%'`;
const exec = promisify(execFile);

describe('backup and restore', function () {
  this.timeout(240_000);
  const folder = temporaryFolder('backup');
  const dump = path.join(folder, 'leaky.dump');
  let tools: string;
  let system: System;
  let elsewhere: string;
  const people = new People(() => system);

  before(async () => {
    const [installed, started, server] = await Promise.all([
      exec('bash', [path.join(projectRoot, 'scripts/servers/postgres-tools.sh'), 'install']),
      // A call may hang for longer than the snapshot takes.
      startSystem({ environment: { LEAKY_PROVIDER_TIMEOUT_MS: '60000' } }),
      startTestPostgres(),
    ]);
    tools = installed.stdout.trim();
    system = started;
    const url = new URL(server);
    url.pathname = `/restored_${randomBytes(6).toString('hex')}`;
    elsewhere = url.href;
    await administer(server, `CREATE DATABASE ${url.pathname.slice(1)}`);
  });
  after(() => system?.stop());
  after(
    async () => elsewhere && administer(await startTestPostgres(), `DROP DATABASE ${new URL(elsewhere).pathname.slice(1)} WITH (FORCE)`),
  );

  /** @throws with what it wrote, unless it ends with 0 */
  const leaky = async (url: string, ...args: string[]): Promise<string> => {
    const env = { PATH: process.env.PATH, LEAKY_POSTGRES_URL: url, LEAKY_POSTGRES_TOOLS_DIR: tools };
    return (await exec(process.execPath, [path.join(distRoot, 'leaky.js'), ...args], { env })).stdout;
  };

  it('takes a snapshot under load that holds all that was acknowledged before it, and is sound elsewhere', async () => {
    const callers = await Promise.all(Array.from({ length: 4 }, () => people.register()));
    for (const caller of callers) await people.buy(caller, 5_000);
    const load = startLoad(people, callers);
    await eventually('the load runs', () => load.acknowledged.length > 100, 60_000);
    const [caller] = callers;
    if (caller) void people.consume(caller, 1, { prompt: '[stub:hang]' }).catch(() => undefined);
    await eventually('the call that hangs holds its tokens', async () => (await column(system.postgresUrl, HANGING)).length > 0);
    const before = [...load.acknowledged];
    const said = await leaky(system.postgresUrl, 'backup', dump);
    const during = load.acknowledged.length - before.length;
    await load.stop();
    assert.match(said, /leaky\.dump: \d/);
    assert.equal(statSync(dump).mode & 0o777, 0o600);
    assert.ok(during > 0, 'calls were answered while the snapshot was taken');

    assert.match(await leaky(elsewhere, 'restore', dump), /^Restored/);
    assert.match(await leaky(elsewhere, 'audit'), /All invariants hold/);
    const settled = new Set(await column(elsewhere, `SELECT id FROM consumptions WHERE state = 'SETTLED'`));
    assert.deepEqual(
      before.filter((id) => !settled.has(id)),
      [],
    );
  });

  it('ends what was in flight when the histories of the workflows are lost, so that nothing is held or unrecorded', async () => {
    await assert.rejects(leaky(elsewhere, 'restore', dump), /The database is not empty.*--replace/);
    const held = await column(elsewhere, `SELECT id FROM consumptions WHERE state = 'HELD'`);
    assert.ok(held.length > 0, 'the snapshot was taken in the middle of consumptions');
    const said = await leaky(elsewhere, 'restore', dump, '--replace', '--orphaned');
    assert.match(said, new RegExp(`Holds released: ${held.length};`));
    const pool = createPool(elsewhere, 2);
    await assertSound(pool, 1_000).finally(() => pool.end());
  });

  it('leaves all as it was when the file or the tools are no good', async () => {
    const broken = path.join(folder, 'broken.dump');
    writeFileSync(broken, 'PGDMP, but no more');
    const before = await column(elsewhere, 'SELECT id FROM consumptions ORDER BY id');
    await assert.rejects(leaky(elsewhere, 'restore', broken, '--replace'), /pg_restore has failed/);
    assert.deepEqual(await column(elsewhere, 'SELECT id FROM consumptions ORDER BY id'), before);
    await assert.rejects(leaky(elsewhere, 'backup', dump), /exists already/);
    tools = folder;
    await assert.rejects(leaky(elsewhere, 'backup', path.join(folder, 'none')), /pg_dump is not installed, the server is PostgreSQL \d+/);
    assert.ok(!existsSync(path.join(folder, 'none')) && !existsSync(path.join(folder, 'none.partial')));
  });
});

/** Consumes without a pause until stopped; the ids of what was answered with 200. Providers take a moment, so that some is always in flight. */
function startLoad(people: People, callers: readonly Person[]): { acknowledged: string[]; stop(): Promise<void> } {
  const acknowledged: string[] = [];
  let stopped = false;
  const running = Array.from({ length: CALLERS }, async (_, index) => {
    const caller = callers[index % callers.length] as Person;
    while (!stopped) {
      const { status, body } = await people.consume(caller, 1, { prompt: '[stub:slow=100]' });
      if (status === 200) acknowledged.push(String(body.consumptionId));
    }
  });
  return {
    acknowledged,
    stop: async () => {
      stopped = true;
      await Promise.all(running);
    },
  };
}

async function administer(url: string, statement: string): Promise<void> {
  await column(url, statement);
}

async function column(url: string, text: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string }>(text);
    return rows.map(({ id }) => id);
  } finally {
    await client.end();
  }
}
