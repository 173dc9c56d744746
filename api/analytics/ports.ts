import type { UsageEvent } from '../../contracts/events.js';
import type { ProviderName } from '../../contracts/providers.js';

/** Half-open: events at `from` count, events at `to` do not. */
export interface TimeWindow {
  from: Date;
  to: Date;
}

/** Which events a caller may see: all, or those it made itself (null: not those) plus those made for its organisations. */
export type Visibility = 'all' | { userId: string | null; orgIds: readonly string[] };

export interface UsageTotals {
  events: number;
  allowedEvents: number;
  /** Charged tokens: of allowed events only */
  tokens: number;
}

export interface UsageSummary extends UsageTotals {
  uniqueUsers: number;
  /** Most tokens first; at most as many as asked for */
  topUsers: { userId: string; totalTokens: number; events: number }[];
}

export interface UsageFilter {
  /** Unset: all providers */
  provider?: ProviderName | undefined;
  userId?: string | undefined;
  orgId?: string | undefined;
  tag?: string | undefined;
}

export interface SeriesBucket extends UsageTotals {
  /** A multiple of the step since the epoch */
  start: Date;
}

/**
 * What the analytics service reads. Every answer counts each stored event exactly once, as a recount of the raw events
 * at one instant would: however late an event came, and whether or not it has been rolled up yet.
 */
export interface UsageReader {
  /** Newest first, at most `limit` */
  recent(provider: ProviderName, visibility: Visibility, limit: number): Promise<UsageEvent[]>;
  summarise(provider: ProviderName, visibility: Visibility, window: TimeWindow, topUsers: number): Promise<UsageSummary>;
  /** One answer for each window, all as of the same instant */
  totals(provider: ProviderName, visibility: Visibility, windows: readonly TimeWindow[]): Promise<UsageTotals[]>;
  /** Buckets that have events, in order; only events inside the window count. `stepSeconds` divides a minute or is whole minutes. */
  series(filter: UsageFilter, visibility: Visibility, window: TimeWindow, stepSeconds: number): Promise<SeriesBucket[]>;
  /** Rejects when the store does not answer */
  ping(): Promise<void>;
}
