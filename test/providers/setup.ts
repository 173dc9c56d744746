import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createProviders } from '../../adapters/providers/index.js';
import type { ProviderOutcome, ProviderRequest, Providers } from '../../activities/ports.js';
import { startStubs, type RunningStubs } from '../../api/stubs/index.js';
import { loadConfig } from '../../config.js';
import type { ProviderName } from '../../contracts/providers.js';
import { createLogger } from '../../telemetry/log.js';

export interface Snapshot {
  settings: Record<string, unknown>;
  calls: { total: number; byMode: Record<string, number>; distinctConsumptions: number; inFlight: number; maxInFlight: number };
  consumption?: { id: string; attempts: number };
}

const FREE_PORTS = { LEAKY_STUB_QWEN_PORT: '0', LEAKY_STUB_GEMINI_PORT: '0', LEAKY_STUB_OPENAI_PORT: '0', LEAKY_LOG_LEVEL: 'silent' };
const log = createLogger('silent');

/** Real stubs on free ports, and clients that talk to them. */
export class Bench {
  private readonly opened: { close(): Promise<void> }[] = [];
  private constructor(readonly stubs: RunningStubs) {}

  static async start(): Promise<Bench> {
    return new Bench(await startStubs({ config: loadConfig(FREE_PORTS), log }));
  }

  url(provider: ProviderName): string {
    return `http://127.0.0.1:${this.stubs.ports[provider]}`;
  }

  /** Clients with an empty breaker; small time limits unless said otherwise. */
  providers(env: Record<string, string> = {}): Providers {
    const providers = createProviders({
      config: loadConfig({
        LEAKY_PROVIDER_TIMEOUT_MS: '2000',
        LEAKY_PROVIDER_BACKOFF_MS: '1',
        LEAKY_OPENAI_BASE_URL: this.url('openai'),
        LEAKY_GEMINI_BASE_URL: this.url('gemini'),
        LEAKY_QWEN_BASE_URL: this.url('qwen'),
        ...env,
      }),
      log,
    });
    this.opened.push(providers);
    return providers;
  }

  async control(provider: ProviderName, settings: object): Promise<void> {
    const answer = await fetch(`${this.url(provider)}/control`, { method: 'PUT', body: JSON.stringify(settings) });
    assert.equal(answer.status, 200, await answer.text());
  }

  async snapshot(provider: ProviderName, consumptionId = ''): Promise<Snapshot> {
    return (await (await fetch(`${this.url(provider)}/control?consumptionId=${consumptionId}`)).json()) as Snapshot;
  }

  /** How many HTTP calls the stub saw for one consumption */
  async attempts(request: ProviderRequest): Promise<number | undefined> {
    return (await this.snapshot(request.provider, request.consumptionId)).consumption?.attempts;
  }

  /** Back to a well-behaved stub; closes the clients of the test. */
  async reset(): Promise<void> {
    await Promise.all(this.opened.splice(0).map((providers) => providers.close()));
    for (const provider of ['openai', 'gemini', 'qwen'] as const) await fetch(`${this.url(provider)}/control`, { method: 'DELETE' });
  }

  async stop(): Promise<void> {
    await Promise.all(this.opened.splice(0).map((providers) => providers.close()));
    await this.stubs.close(0);
  }
}

/** Who calls unless a test says otherwise */
export const ME = 'me';

export function ask(provider: ProviderName, prompt: string, overrides: Partial<ProviderRequest> = {}): ProviderRequest {
  return { consumptionId: randomUUID(), caller: ME, provider, messages: [{ role: 'user', content: prompt }], maxTokens: 200, ...overrides };
}

export function expectFailure(outcome: ProviderOutcome): Extract<ProviderOutcome, { ok: false }> {
  assert(!outcome.ok, 'the call should have failed');
  return outcome;
}

export function expectAnswer(outcome: ProviderOutcome): Extract<ProviderOutcome, { ok: true }> {
  assert(outcome.ok, outcome.ok ? '' : outcome.detail);
  return outcome;
}

/** Resolves when the condition holds; fails after two seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 2_000;
  while (!(await condition())) {
    assert(Date.now() < deadline, `never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
