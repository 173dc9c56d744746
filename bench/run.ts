import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import pg from 'pg';
import { createAuditor } from '../adapters/postgres/audit.js';
import { createPool } from '../adapters/postgres/pool.js';
import { freePort } from '../embedded/ports.js';
import { distRoot, projectRoot } from '../root.js';
import { batchSizes, type BatchSizes } from './batch-sizes.js';
import type { LoadJob, LoadResult } from './load.js';
import { startBenchSystem, type BenchSystem } from './system.js';

// npm run bench: the durable batches against the textbook workflow, in turns within one run, on the same servers.
const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    help: { type: 'boolean', default: false },
  },
});
const USERS = 100;
const TOKENS_EACH = 1_000_000;
const PROVIDER_MS = 50;
const WARM_UP_SECONDS = 4;

async function run(seconds: number, rounds: number, connections: number): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  say('Starting the system');
  const system = await startBenchSystem({
    LEAKY_STUB_LATENCY_MS: String(PROVIDER_MS),
    // The limits would refuse what is to be measured.
    LEAKY_BUCKET_CAPACITY: '1000000000',
    LEAKY_BUCKET_LEAK_PER_SECOND: '1000000000',
    LEAKY_LOG_LEVEL: 'warn',
  });
  try {
    const token = await login(system);
    const users = Array.from({ length: USERS }, () => randomUUID());
    say(`Buying ${TOKENS_EACH} tokens for each of ${USERS} users`);
    await fill(system, token, users);
    const textbookPort = await freePort();
    await system.start('bench/textbook/main.js', [String(textbookPort)], { ...system.environment, LEAKY_LOG_LEVEL: 'warn' }, /ready/);
    const textbook = `http://127.0.0.1:${textbookPort}`;
    const variants = [
      { name: 'leaky', url: system.url('TOKENS') },
      { name: 'textbook', url: textbook },
    ];
    const job = (url: string, durationSeconds: number): LoadJob => ({
      url: `${url}/api/v1/tokens/consume`,
      headers: { authorization: `Bearer ${token}` },
      bodies: users.map((userId) => JSON.stringify({ userId, provider: 'openai', tokens: 1, prompt: 'How fast are you?' })),
      connections,
      durationSeconds,
    });
    const results: Record<string, LoadResult[]> = {};
    const sizes: BatchSizes[] = [];
    let answered = 0;
    for (const { url } of variants) answered += (await load(job(url, WARM_UP_SECONDS))).ok;
    await drained(system, textbook);
    for (let round = 1; round <= rounds; round++) {
      for (const { name, url } of variants) {
        const before = await batchSizes(system.url('TOKENS'));
        const result = await load(job(url, seconds));
        answered += result.ok;
        (results[name] ??= []).push(result);
        if (name === 'leaky') sizes.push((await batchSizes(system.url('TOKENS'))).since(before));
        say(
          `round ${round} ${name}: ${result.opsPerSecond.toFixed(1)}/s, p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms, not ok ${result.notOk}`,
        );
        // What a load run leaves behind (answers nobody waits for any more) must not burden the next one.
        await drained(system, textbook);
      }
    }
    report(results, sizes, connections);
    await account(system, answered);
  } finally {
    await system.stop();
  }
}

async function login(system: BenchSystem): Promise<string> {
  const response = await fetch(`${system.url('AUTH')}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(system.admin),
  });
  return ((await response.json()) as { token: string }).token;
}

async function fill(system: BenchSystem, token: string, users: string[]): Promise<void> {
  for (const userId of users) {
    const response = await fetch(`${system.url('TOKENS')}/api/v1/tokens/purchase`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ userId, provider: 'openai', tokens: TOKENS_EACH }),
    });
    if (response.status !== 202) throw new Error(`a purchase was answered with ${response.status}`);
  }
  await until(system, `SELECT count(*) = ${users.length} AS done FROM token_purchase_saga WHERE status = 'COMPLETED'`);
}

/** Nothing is held, and no textbook workflow is still to begin. */
async function drained(system: BenchSystem, textbook: string): Promise<void> {
  while (Number(await (await fetch(`${textbook}/in-flight`)).text()) > 0) await new Promise((resolve) => setTimeout(resolve, 250));
  await until(system, `SELECT NOT EXISTS (SELECT 1 FROM consumptions WHERE state = 'HELD') AS done`);
}

async function until(system: BenchSystem, question: string): Promise<void> {
  const client = new pg.Client({ connectionString: system.environment.LEAKY_POSTGRES_URL });
  await client.connect();
  try {
    while (!(await client.query<{ done: boolean }>(question)).rows[0]?.done) await new Promise((resolve) => setTimeout(resolve, 250));
  } finally {
    await client.end();
  }
}

async function load(job: LoadJob): Promise<LoadResult> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(distRoot, 'bench/load.js'), JSON.stringify(job)]);
  return JSON.parse(stdout) as LoadResult;
}

const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;

function report(results: Record<string, LoadResult[]>, sizes: BatchSizes[], connections: number): void {
  const rows = Object.entries(results).map(([variant, runs]) => ({
    scenario: 'consume',
    variant,
    provider: `${PROVIDER_MS} ms`,
    concurrency: connections,
    opsPerSecond: Number(median(runs.map((run) => run.opsPerSecond)).toFixed(1)),
    p50Ms: median(runs.map((run) => run.p50Ms)),
    p99Ms: median(runs.map((run) => run.p99Ms)),
    notOk: runs.reduce((total, run) => total + run.notOk, 0),
  }));
  console.table(rows);
  const speed = (variant: string) => rows.find((row) => row.variant === variant)?.opsPerSecond ?? NaN;
  const ratio = speed('leaky') / speed('textbook');
  console.log(`leaky / textbook: ${ratio.toFixed(1)}x`);
  for (const [index, size] of sizes.entries()) console.log(`batch sizes in round ${index + 1}: ${size.toString()}`);
  writeFileSync(
    path.join(projectRoot, 'bench/results.json'),
    `${JSON.stringify(
      rows.map((row) => ({ ...row, ratios: { textbook: Number((row.opsPerSecond / speed('textbook')).toFixed(1)) } })),
      null,
      2,
    )}\n`,
  );
}

/** Every answered call is a settled row, every token is accounted for, and the laws hold. */
async function account(system: BenchSystem, answered: number): Promise<void> {
  const pool = createPool(system.environment.LEAKY_POSTGRES_URL ?? '', 1);
  try {
    const { rows } = await pool.query<{ settled: number; charged: number }>(
      `SELECT count(*) AS settled, sum(charged)::bigint AS charged FROM consumptions WHERE state = 'SETTLED'`,
    );
    const { breaches } = await createAuditor(pool).audit(5);
    console.log(
      `answered ${answered}, settled ${rows[0]?.settled}, charged ${rows[0]?.charged}; audit: ${breaches.length === 0 ? 'clean' : JSON.stringify(breaches)}`,
    );
    if (breaches.length > 0 || (rows[0]?.settled ?? 0) < answered) process.exitCode = 1;
  } finally {
    await pool.end();
  }
}

if (options.help) {
  process.stdout.write(
    'npm run bench -- [--seconds 30] [--rounds 3] [--connections 64]\n  consume with providers at 50 ms: leaky against one textbook workflow per request\n',
  );
} else {
  const seconds = Number(options.seconds);
  await run(seconds, Number(options.rounds), Number(options.connections));
}
