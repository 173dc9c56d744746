import { LRUCache } from 'lru-cache';
import type { ProviderOutcome, ProviderRequest, Providers } from './ports.js';

/** More than a process has in progress, and longer than its ledger may be away before its workflows are taken over by hand. */
const MAX_CALLS = 10_000;
const TTL_MS = 3_600_000;

/**
 * The calls of this process whose outcome is not in the ledger yet. A step that runs again here, because its time was over or
 * the engine lost sight of it, joins the call it made before: providers are paid by the call.
 */
export class ProviderCalls {
  private readonly calls = new LRUCache<string, Promise<ProviderOutcome>>({ max: MAX_CALLS, ttl: TTL_MS });

  constructor(private readonly providers: Pick<Providers, 'complete'>) {}

  /**
   * @param signal ends the call itself and not only the wait for it: only for a process that ends
   * @throws when the signal aborted
   */
  async complete(request: ProviderRequest, signal: AbortSignal): Promise<ProviderOutcome> {
    const id = request.consumptionId;
    let call = this.calls.get(id);
    if (!call) {
      call = this.providers.complete(request, { signal });
      this.calls.set(id, call);
    }
    const outcome = await call;
    if (!signal.aborted) return outcome;
    this.calls.delete(id);
    throw new Error('The call was cut off', { cause: signal.reason });
  }

  /** The outcome is in the ledger. */
  forget(consumptionId: string): void {
    this.calls.delete(consumptionId);
  }
}
