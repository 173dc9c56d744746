import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { PostgresClient } from '../../adapters/postgres/client.js';
import { createPool } from '../../adapters/postgres/pool.js';
import { People, type Person } from '../e2e/people.js';
import { eventually, isRunning } from '../support/eventually.js';
import { startSystem, type System } from '../support/system.js';

/** Of ending backends under load: `LEAKY_FAULT_ROUNDS=10 LEAKY_FAULT_SECONDS=60 npm test -- test/faults/databases.test.ts`. */
const ROUNDS = Number(process.env.LEAKY_FAULT_ROUNDS ?? 1);
const SECONDS = Number(process.env.LEAKY_FAULT_SECONDS ?? 8);
/** How long the databases are stopped: `LEAKY_FAULT_STOPS=5,15,60`. */
const STOPS = (process.env.LEAKY_FAULT_STOPS ?? '5').split(',').map(Number);
const CALLERS = 6;
/** After the end of the cause; work that needs a worker has more. */
const BACK_WITHIN_MS = 10_000;
const WORK_WITHIN_MS = 15_000;

/** What a caller may see while a database is away; 504 is the gateway's, of a store that is silent rather than gone. */
const PASSING = new Set([200, 409, 429, 503, 504]);

describe('databases that die under load', function () {
  this.timeout(240_000 + ROUNDS * (SECONDS + 30) * 1_000 + STOPS.reduce((sum, stop) => sum + 120_000 + 2 * stop * 1_000, 0));
  let system: System;
  let person: Person;
  const people = new People(() => system);

  before(async () => {
    const everybody = { requests: 1_000_000, windowSeconds: 60 };
    const overrides = JSON.stringify({ '/api/v1/tokens': everybody, '/api/v1/auth': everybody });
    system = await startSystem({ environment: { LEAKY_BUCKET_CAPACITY: '1000000', LEAKY_RATE_LIMIT_OVERRIDES: overrides } });
    person = await people.register();
    await people.buy(person, 100_000);
  });
  after(() => system.stop());

  interface Answer {
    status: number;
    retryAfter: string | null;
  }
  async function ask(method: string, route: string, body?: object): Promise<Answer> {
    const response = await fetch(`${system.gateway}${route}`, {
      method,
      headers: { authorization: `Bearer ${person.token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    await response.arrayBuffer();
    return { status: response.status, retryAfter: response.headers.get('retry-after') };
  }
  const consume = () => ask('POST', '/api/v1/tokens/consume', { userId: person.userId, provider: 'openai', tokens: 1, prompt: 'x' });
  const look = () => ask('GET', `/api/v1/tokens/quota?provider=openai&userId=${person.userId}`);

  /** Callers without a pause while `work` goes on. Every answer they got, but those that are as they should be. */
  async function underLoad(work: () => Promise<unknown>): Promise<Map<string, number>> {
    const odd = new Map<string, number>();
    let done = false;
    const caller = async (call: () => Promise<Answer>) => {
      while (!done) {
        const { status, retryAfter } = await call();
        const fine = PASSING.has(status) && (status !== 503 || retryAfter !== null);
        if (!fine) odd.set(`${status}, Retry-After ${retryAfter}`, (odd.get(`${status}, Retry-After ${retryAfter}`) ?? 0) + 1);
        if (status !== 200) await delay(20);
      }
    };
    const callers = Array.from({ length: CALLERS }, (_, index) => caller(index % 2 === 0 ? consume : look));
    await work().finally(() => (done = true));
    await Promise.all(callers);
    return odd;
  }

  async function backSoon(cause: string): Promise<void> {
    await eventually(`reads are back after ${cause}`, async () => (await look()).status === 200, BACK_WITHIN_MS);
    await eventually(`calls are back after ${cause}`, async () => (await consume()).status === 200, WORK_WITHIN_MS);
    assert.ok(await isRunning(system.pid), 'the process lives');
  }

  async function soundBooks(): Promise<void> {
    const pool = createPool(system.postgresUrl, 1);
    const audit = () =>
      createAuditor(pool)
        .audit(0)
        .then(({ breaches }) => breaches);
    try {
      await eventually('the audit is clean', async () => (await audit()).length === 0, 60_000);
      assert.deepEqual(await audit(), []);
    } finally {
      await pool.end();
    }
  }

  const postmaster = () => Number(readFileSync(path.join(system.dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]);
  const childrenOf = (pid: number) =>
    execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/)
      .map(Number);
  function temporal(): number {
    const port = system.temporal.address.split(':')[1];
    const lines = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
    const line = lines.find((text) => text.includes(`--port ${port} `) && !text.includes('leaky-watchdog'));
    return Number(line?.trim().split(' ')[0]);
  }

  for (let round = 1; round <= ROUNDS; round++) {
    it(`one backend ended every 100 to 300 ms for ${SECONDS} s: callers see 503 at worst, and the books are sound (round ${round})`, async () => {
      const axe = new PostgresClient({ connectionString: system.postgresUrl });
      await axe.connect();
      let ended = 0;
      const odd = await underLoad(async () => {
        for (const until = Date.now() + SECONDS * 1_000; Date.now() < until; await delay(100 + Math.random() * 200)) {
          const { rowCount } = await axe.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY (state = 'idle'), random() LIMIT 1`,
          );
          ended += rowCount ?? 0;
        }
      });
      await axe.end();
      assert.ok(ended > SECONDS, `${ended} backends were ended`);
      assert.deepEqual([...odd], []);
      await backSoon('the last backend');
      await soundBooks();
    });
  }

  for (const [name, pid] of Object.entries({ PostgreSQL: postmaster, Temporal: temporal })) {
    it(`${name} killed is started anew, and said on the terminal`, async () => {
      const killed = pid();
      const timesBack = () => system.printed().split(`${name} is back after`).length;
      const odd = await underLoad(async () => {
        await delay(500);
        const before = timesBack();
        process.kill(killed, 'SIGKILL');
        await eventually('it is back', () => timesBack() > before, 60_000);
      });
      assert.deepEqual([...odd], []);
      await backSoon(`${name} was killed`);
      await soundBooks();
    });

    for (const seconds of STOPS) {
      it(`${name} stopped for ${seconds} s is waited for or started anew`, async () => {
        const stopped = pid();
        const all = [stopped, ...(name === 'PostgreSQL' ? childrenOf(stopped) : [])];
        const signal = (what: NodeJS.Signals) => {
          for (const one of all) {
            try {
              process.kill(one, what);
            } catch (error) {
              // Killed as hung meanwhile.
              assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
            }
          }
        };
        const odd = await underLoad(async () => {
          signal('SIGSTOP');
          await delay(seconds * 1_000);
          signal('SIGCONT');
        });
        await backSoon(`${name} went on`);
        assert.deepEqual([...odd], []);
        await soundBooks();
      });
    }
  }

  it('ends in order and soon while a database does not answer', async () => {
    const stopped = postmaster();
    process.kill(stopped, 'SIGSTOP');
    const began = Date.now();
    assert.equal(await system.stop(), 0);
    assert.ok(Date.now() - began < 15_000, `it took ${Date.now() - began} ms`);
    assert.doesNotMatch(system.printed(), /panicked|after calling end on the pool/);
    assert.match(system.printed(), /PostgreSQL does not answer; it is killed/);
  });
});
