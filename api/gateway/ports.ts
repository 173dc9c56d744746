import type { WindowDecision, WindowPolicy } from '../../domain/sliding-window.js';

/** The services behind the gateway, by the name that `lb://name` uses. */
export type ServiceName = 'auth' | 'tokens' | 'analytics';
export const SERVICE_NAMES: readonly ServiceName[] = ['auth', 'tokens', 'analytics'];

/** Answers with the instance that takes the next call; where instances come from and how one is chosen is the adapter's. */
export interface ServiceResolver {
  /** @returns null when no instance is known */
  resolve(service: ServiceName): URL | null;
}

/** Counts requests in sliding windows, one for each key. Deciding and counting are one atomic step, also when gateways share the store. */
export interface RateLimitStore {
  /** Counts the request when it is admitted */
  hit(key: string, policy: WindowPolicy): Promise<WindowDecision>;
  /** Says what `hit` would decide and counts nothing */
  peek(key: string, policy: WindowPolicy): Promise<WindowDecision>;
}
