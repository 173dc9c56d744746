import type { ProviderOutcome, ProviderRequest, Providers } from '../../activities/ports.js';
import type { Config } from '../../config.js';
import { PROVIDERS, type ProviderName } from '../../contracts/providers.js';
import type { Logger } from '../../telemetry/log.js';
import { BREAKER_LEVEL, metrics } from '../../telemetry/metrics.js';
import type { Refusal } from './breaker.js';
import { ProviderClient, type Attempt } from './client.js';
import { gemini } from './gemini.js';
import { Guard } from './guard.js';
import { limitFieldOf } from './limit-field.js';
import { openAiChat } from './openai-chat.js';
import type { WireFormat } from './wire.js';

const WIRES: Record<ProviderName, WireFormat> = { openai: openAiChat, gemini, qwen: openAiChat };
/** Longer waits than this aren't worth holding a caller's quota for; they are passed on as Retry-After instead. */
const MAX_RETRY_AFTER_MS = 5_000;

export interface ProvidersOptions {
  config: Pick<Config, 'providers'>;
  log: Logger;
}

/** HTTP clients of all providers, each behind a guard of its own: a provider that is down takes nothing from the others. */
export function createProviders({ config, log }: ProvidersOptions): Providers & { close(): Promise<void> } {
  const lines = Object.fromEntries(
    PROVIDERS.map((provider) => [provider, createLine(provider, config.providers, log.child({ provider }))]),
  ) as Record<ProviderName, Line>;
  let inProgress = 0;
  return {
    complete(request, options = {}) {
      inProgress++;
      return lines[request.provider].complete(request, options).finally(() => inProgress--);
    },
    get inProgress() {
      return inProgress;
    },
    inProgressOf: (caller) => PROVIDERS.reduce((sum, provider) => sum + lines[provider].inProgressOf(caller), 0),
    refusalFor: (provider, caller) => lines[provider].refusal(caller),
    close: async () => {
      await Promise.all(Object.values(lines).map((line) => line.close()));
    },
  };
}

interface Line {
  complete: Providers['complete'];
  refusal(caller: string): Refusal | null;
  inProgressOf(caller: string): number;
  close(): Promise<void>;
}

function createLine(provider: ProviderName, settings: Config['providers'], log: Logger): Line {
  const { timeoutMs, attempts: maxAttempts, backoffMs, bulkhead, callerShare, breaker } = settings;
  const limitField = limitFieldOf(settings[provider]);
  const client = new ProviderClient({
    provider,
    wire: WIRES[provider],
    ...settings[provider],
    limitField,
    timeoutMs,
    connections: bulkhead,
  });
  const guard = new Guard(
    { attempts: maxAttempts, backoffMs, maxRetryAfterMs: MAX_RETRY_AFTER_MS, bulkhead, callerShare, breaker },
    log,
    (state) => metrics.providerBreaker.set({ provider }, BREAKER_LEVEL[state]),
  );

  const complete: Providers['complete'] = async (request, { signal, onDelta } = {}) => {
    const refusal = guard.refusal(request.caller);
    if (refusal) return { ok: false, code: 'PROVIDER_UNAVAILABLE', attempts: 0, ...refusal };
    let sent = 0;
    try {
      const send = () => {
        sent += 1;
        return client.attempt(request, signal, onDelta);
      };
      const attempt = await guard.run(request.caller, send, signal);
      return outcome(request, attempt, sent, settings[provider].model);
    } catch (error) {
      log.error({ err: error, consumptionId: request.consumptionId }, 'provider call failed on our side');
      return { ok: false, code: 'PROVIDER_FAILED', detail: 'the call failed on our side; the log has the reason', attempts: sent };
    }
  };
  return {
    complete,
    refusal: (caller) => guard.refusal(caller),
    inProgressOf: (caller) => guard.inProgressOf(caller),
    close: () => client.close(),
  };
}

function outcome(request: ProviderRequest, attempt: Attempt, attempts: number, defaultModel: string): ProviderOutcome {
  if (!attempt.ok) {
    return {
      ok: false,
      code: attempt.code,
      detail: attempt.detail,
      attempts,
      ...(attempt.retryAfterMs !== null && { retryAfterSeconds: Math.max(1, Math.ceil(attempt.retryAfterMs / 1000)) }),
    };
  }
  const { id, model, message, usage } = attempt.content;
  return {
    ok: true,
    answer: { id: id ?? request.consumptionId, provider: request.provider, model: model ?? request.model ?? defaultModel, message, usage },
    attempts,
  };
}
