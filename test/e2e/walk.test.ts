import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadConfig } from '../../config.js';
import { findTemporalCli } from '../../embedded/temporal-cli.js';
import { projectRoot } from '../../root.js';
import { withSystem, type System } from '../support/system.js';
import { People } from './people.js';

const README = path.join(projectRoot, 'README.md');

/** The four lines that a start prints: `Try it …:` and everything after it. */
function printedLines(system: System): string[] {
  const [, after = ''] = system.printed().split(/^Try it.*$/m);
  // Whatever it says later, as it runs, comes after them.
  return after.split('\n').filter((line) => /^(N=|curl )/.test(line));
}

/** The blocks of README that are to be pasted one after the other: each ```sh block right after a line `<!-- walk -->`. */
function walkBlocks(): string[] {
  const text = readFileSync(README, 'utf8');
  return [...text.matchAll(/^<!-- walk -->\n+```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
}

const PARKED = /purchase-[0-9a-f]{8}-[0-9a-f-]{27}/g;
/** The telling words of what the CLI answers; its columns and times are its own. */
const TELLING = /"(?:failureReason|parked|pendingCompensations|status|cancellable)":[^,}]*|Parked: .*|Signal workflow succeeded|retryNow/g;

/** The commands of README's console session, for this very purchase, with the telling words of the answers shown there. */
function consoleCommands(sagaId: string): { command: string; shown: string[] }[] {
  const text = readFileSync(README, 'utf8').replaceAll(PARKED, `purchase-${sagaId}`);
  const [, session = ''] = /^```console\n([^]*?)^```$/m.exec(text) ?? [];
  return session
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...answer] = part.split('\n');
      return { command, shown: [...answer.join('\n').matchAll(TELLING)].map(([words]) => words) };
    });
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- shapes are what is asserted
const jsonLines = (output: string): any[] =>
  output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);

/** Written for the ports of a default start; this system has others. */
function readdressed(text: string, { environment }: System): string {
  const { ports, temporal } = loadConfig({});
  const moved: [number, string | undefined][] = [
    [ports.gateway, environment['LEAKY_GATEWAY_PORT']],
    [ports.auth, environment['LEAKY_AUTH_PORT']],
    [ports.tokens, environment['LEAKY_TOKENS_PORT']],
    [ports.analytics, environment['LEAKY_ANALYTICS_PORT']],
    [ports.stubs.qwen, environment['LEAKY_STUB_QWEN_PORT']],
    [ports.stubs.gemini, environment['LEAKY_STUB_GEMINI_PORT']],
    [ports.stubs.openai, environment['LEAKY_STUB_OPENAI_PORT']],
    [temporal.embeddedPort, environment['LEAKY_TEMPORAL_PORT']],
    [temporal.embeddedUiPort, environment['LEAKY_TEMPORAL_UI_PORT']],
  ];
  return moved.reduce((all, [from, to]) => all.replaceAll(new RegExp(`(localhost|127\\.0\\.0\\.1):${from}\\b`, 'g'), `$1:${to}`), text);
}

/** What a person would see who pastes the text into a terminal. */
async function paste(shell: string, text: string, system: System): Promise<{ code: number | null; output: string }> {
  const config = loadConfig();
  const { cli: explicit, searchPath } = config.temporal;
  const cli = await findTemporalCli({ explicit, searchPath, cacheDir: config.cacheDir, progress: () => undefined });
  const env = {
    PATH: `${path.dirname(cli)}:${searchPath}`,
    HOME: system.dataDir,
    TEMPORAL_ADDRESS: system.temporal.address,
    ADMIN_USERNAME: system.admin.username,
    ADMIN_PASSWORD: system.admin.password,
  };
  const child = spawn(shell, ['-s'], { cwd: projectRoot, env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(text);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

describe('the walk that a newcomer takes', () => {
  const system = withSystem();
  const people = new People(system);

  for (const shell of ['bash', 'sh']) {
    it(`by the four printed lines, pasted into ${shell}: register, buy, spend, look`, async () => {
      const lines = printedLines(system());
      assert.equal(lines.length, 4, system().printed());
      const { code, output } = await paste(shell, `${lines.join('\n')}\n`, system());
      assert.equal(code, 0, output);
      const [account, accepted, consumed, usage] = jsonLines(output);
      const saga = await people.call('GET', `/api/v1/tokens/purchase/${accepted.sagaId}`, { token: account.token });
      assert.equal(saga.body.status, 'COMPLETED', output);
      assert.deepEqual([consumed.allowed, consumed.providerResponse.provider], [true, 'openai'], output);
      assert.deepEqual([usage.count, usage.items[0].tokens, usage.items[0].id], [1, 25, consumed.consumptionId], output);
      assert.equal((await people.quota(account)).remainingTokens, 975);
    });
  }

  it('prints addresses that answer, and the password of the administrator at the first start', () => {
    const printed = system().printed();
    const { gateway, auth, tokens, analytics, temporal, admin, dataDir } = system();
    for (const what of [gateway, auth, tokens, analytics, temporal.ui, dataDir, `${admin.username} / ${admin.password}`]) {
      assert.ok(printed.includes(what), `${what} is not in:\n${printed}`);
    }
  });

  it('by README.md, whose first block is what the start prints', async () => {
    const blocks = walkBlocks();
    assert.equal(readdressed(blocks[0] ?? '', system()).trim(), printedLines(system()).join('\n'));
    const { code, output } = await paste('bash', readdressed(`set -e\n${blocks.join('\n')}`, system()), system());
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /"status":[45]\d\d/, output);
    const [account, bought, consumed, usage, parked] = jsonLines(output);
    const statusOf = async (sagaId: string) =>
      (await people.call('GET', `/api/v1/tokens/purchase/${sagaId}`, { token: account.token })).body.status as string;
    assert.deepEqual([await statusOf(bought.sagaId), consumed.allowed, usage.count], ['COMPLETED', true, 1], output);

    // What an operator does about the parked purchase, and the words README shows for it.
    const commands = consoleCommands(parked.sagaId);
    assert.ok(commands.length >= 5, 'README.md shows no console session with the temporal CLI');
    for (const { command, shown } of commands) {
      const result = await paste('bash', `${command}\n`, system());
      assert.equal(result.code, 0, `${command}\n${result.output}`);
      for (const words of shown) assert.ok(result.output.includes(words), `${command} does not say ${words}:\n${result.output}`);
    }
    assert.equal(await statusOf(parked.sagaId), 'FAILED');
    assert.equal((await people.quota(account)).remainingTokens, 975);
  });
});
