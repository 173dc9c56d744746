import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { curlLines } from '../../embedded/welcome.js';
import { distRoot, projectRoot } from '../../root.js';
import { freePorts, portUses } from '../../stack/ports.js';
import { startStack, type Stack } from '../../stack/start.js';
import { administrator, auditLine } from '../../stack/welcome.js';
import { requireFreePorts } from '../../embedded/ports.js';
import { eventually, isRunning } from '../support/eventually.js';
import { atEnd, temporaryFolder } from '../support/servers.js';

const REQUESTS = 200;
const CALLERS = 20;

describe('the full stack', function () {
  this.timeout(240_000);
  let stack: Stack;
  let gateway = '';
  const said: string[] = [];

  before('every part', async () => {
    const settings = {
      LEAKY_PROVIDER_BACKOFF_MS: '20',
      LEAKY_RATE_LIMIT_OVERRIDES: JSON.stringify({ '/api/v1': { requests: 100_000, windowSeconds: 60 } }),
    };
    const environment = { PATH: process.env.PATH, HOME: process.env.HOME, ...settings };
    stack = await startStack({
      dataDir: temporaryFolder('stack'),
      ports: await freePorts(),
      environment,
      say: (line) => said.push(line),
    }).catch((error: unknown) => {
      throw new Error(`the stack did not start:\n${said.join('\n')}`, { cause: error });
    });
    atEnd(() => stack.stop());
    gateway = `http://127.0.0.1:${stack.ports.gateway}`;
  });

  interface Answer {
    status: number;
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- shapes are what is asserted
    body: any;
  }
  async function call(method: string, route: string, token?: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(`${gateway}${route}`, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    return { status: response.status, body: await response.json() };
  }

  it('takes a newcomer through the four lines of the README', async () => {
    const [register = '', purchase = '', consume = '', look = ''] = curlLines(gateway);
    const quota = `curl -sS "${gateway}/api/v1/tokens/quota?userId=$USER_ID&provider=openai" -H "Authorization: Bearer $TOKEN"`;
    const until = (line: string, words: string) => `until { ${line}; } | grep -q '${words}'; do sleep 0.2; done`;
    const text = [register, purchase, until(quota, '"remainingTokens":1000'), consume, until(look, '"count":1'), look, quota].join('\n');
    const output = await paste(text);
    assert.match(output, /"sagaId"/, output);
    assert.match(output, /"allowed":true/, output);
    assert.match(output, /"tokens":25/, output);
    assert.match(output, /"remainingTokens":975/, output);
  });

  it('loses no accepted request and charges none twice when one of the two token services is killed', async () => {
    const name = `load-${Date.now()}`;
    const account = await call('POST', '/api/v1/auth/register', undefined, {
      username: name,
      email: `${name}@example.com`,
      password: 'correct horse',
    });
    const { userId, token } = account.body as { userId: string; token: string };
    await call('POST', '/api/v1/tokens/purchase', token, { userId, provider: 'openai', tokens: 1_000 });
    const remaining = async () => (await call('GET', `/api/v1/tokens/quota?userId=${userId}&provider=openai`, token)).body.remainingTokens;
    await eventually('the tokens are there', async () => (await remaining()) === 1_000, 60_000);

    const order = { userId, provider: 'openai', tokens: 1, prompt: 'Why do buckets leak?' };
    const consume = (key: string) => call('POST', '/api/v1/tokens/consume', token, order, { 'idempotency-key': key });
    const answers = new Map<string, Answer>();
    /** As a careful client does: the same key again until there is an answer that is final. */
    const insist = async (key: string): Promise<Answer> => {
      for (;;) {
        const answer = await consume(key).catch(() => null);
        if (answer && ![409, 429, 500, 502, 503, 504].includes(answer.status)) return answer;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const keys = Array.from({ length: REQUESTS }, (_, index) => `key-${index}`);
    const waiting = [...keys];
    const caller = async () => {
      for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) answers.set(key, await insist(key));
    };
    const load = Promise.all(Array.from({ length: CALLERS }, caller));
    await eventually('the load is on', () => answers.size >= REQUESTS / 4, 60_000);
    for (const port of stack.ports.tokens) assert.ok((await consumedAt(port)) > 0, `nothing came to the token service at ${port}`);
    await stack.service('tokens-1').kill();
    await load;

    assert.deepEqual(
      [...answers].filter(([, { status }]) => status !== 200),
      [],
    );
    assert.equal(new Set([...answers.values()].map(({ body }) => body.consumptionId)).size, REQUESTS);
    for (const key of keys) assert.equal((await consume(key)).body.consumptionId, answers.get(key)?.body.consumptionId);
    assert.equal(await remaining(), 1_000 - REQUESTS);
    await eventually('the killed one is back', () => isReady(stack.ports.tokens[0]), 60_000);
  });

  it('has sound books afterwards', async () => {
    let report = '';
    const sound = async () => {
      const audit = await leaky(['audit', '--grace', '0']);
      report = audit.output;
      return audit.code === 0;
    };
    await eventually('the audit is clean', sound, 60_000).catch((error: unknown) => assert.fail(`${String(error)}\n${report}`));
  });

  it('prints an audit command that finds the same', async () => {
    const output = await paste(auditLine(stack));
    assert.match(output, /All invariants hold/, output);
    assert.match(output, /[1-9]\d* usage events/, output);
  });

  it('names a server that was killed, and starts it anew', async () => {
    for (const name of ['redis', 'PostgreSQL', 'temporal']) {
      const server = stack.servers.find((one) => one.name === name);
      assert.ok(server, name);
      // Of a guarded child the whole group: its watchdog leads it.
      process.kill(name === 'PostgreSQL' ? -server.pid : server.pid, 'SIGKILL');
      await eventually(`${name} is back`, () => said.some((line) => line.startsWith(`${name} is back after`)), 60_000);
      assert.ok(said.some((line) => line.startsWith(`${name} has ended`)));
    }
    for (const { port } of stack.services) await eventually(`the service at ${port} is ready`, () => isReady(port), 30_000);
  });

  it('tells the password that the administrator has', () => {
    const generated = { ...stack, secrets: { ...stack.secrets, adminPasswordShown: false } };
    assert.match(administrator(generated), new RegExp(`^admin / ${stack.secrets.adminPassword} `));
    const given = { ...generated, environment: { LEAKY_ADMIN_USERNAME: 'root', LEAKY_ADMIN_PASSWORD: 'of my own' } };
    assert.equal(administrator(given), 'root, with the password of LEAKY_ADMIN_PASSWORD at the first start');
  });

  it('stops in order and leaves nothing running', async () => {
    const pids = [...stack.servers, ...stack.services].map(({ pid }) => pid);
    await stack.stop();
    assert.deepEqual((await Promise.all(pids.map(isRunning))).filter(Boolean), []);
    await requireFreePorts(portUses(stack.ports).map(([port, purpose]) => ({ port, purpose, host: '127.0.0.1', variable: '' })));
  });

  function paste(text: string): Promise<string> {
    const child = spawn('bash', ['-s'], { cwd: projectRoot, stdio: ['pipe', 'pipe', 'pipe'], timeout: 120_000 });
    child.stdin.end(`${text}\n`);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return new Promise((resolve) => child.once('close', () => resolve(output)));
  }

  function leaky(args: string[]): Promise<{ code: number; output: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [path.join(distRoot, 'leaky.js'), ...args], { env: stack.environment }, (error, stdout, stderr) =>
        resolve({ code: error ? 1 : 0, output: stdout + stderr }),
      );
    });
  }
});

async function consumedAt(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^leaky_consumption_outcomes_total\{.*outcome="OK".*\} (\d+)/m.exec(text)?.[1] ?? 0);
}

const isReady = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/health/ready`).then(
    (response) => response.ok,
    () => false,
  );
