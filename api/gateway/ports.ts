import type { WindowDecision, WindowPolicy } from '../../domain/sliding-window.js';

export { SERVICE_NAMES, type CallOutcome, type ServiceName, type ServiceResolver } from '../http/services.js';

/** Counts requests in sliding windows, one for each key. Deciding and counting are one atomic step, also when gateways share the store. */
export interface RateLimitStore {
  /** Counts the request when it is admitted */
  hit(key: string, policy: WindowPolicy): Promise<WindowDecision>;
  /** Says what `hit` would decide and counts nothing */
  peek(key: string, policy: WindowPolicy): Promise<WindowDecision>;
}
