import type { UsageEvent } from '../contracts/events.js';

/** A consumption that has been HELD for longer than any provider call takes. */
export interface StaleHold {
  id: string;
  workflowId: string;
}

export interface StaleHolds {
  find(olderThanSeconds: number, limit: number): Promise<StaleHold[]>;
}

/** Up to where consumptions have been looked at, in the order in which they began. */
export interface Mark {
  at: string;
  id: string;
}

/** Consumptions that ended and are not in the usage events. A mark is kept of how far they have been looked for. */
export interface UnreportedUsage {
  /** What comes after the mark and began more than so many seconds ago */
  nextPage(
    olderThanSeconds: number,
    limit: number,
  ): Promise<{ held: string[]; unreported: StaleHold[]; upTo: Mark | null; complete: boolean }>;
  /** Moves the mark on. All up to it is published or among `postponed`, which is kept to be looked at again. */
  pass(upTo: Mark, postponed: readonly string[]): Promise<void>;
  /** Of those kept, the ones looked at longest ago that have ended and are still not in the usage events; forgets those that are. */
  postponed(limit: number): Promise<StaleHold[]>;
  /** Of those kept */
  published(ids: readonly string[]): Promise<void>;
  /** The next look begins at the beginning: the usage store may have lost what it had. */
  rewind(): Promise<void>;
}

export interface OpenWorkflows {
  /** Whether an execution of this id is running. Throws when the engine can't tell: unknown is not closed. */
  isOpen(workflowId: string): Promise<boolean>;
}

/** A usage event as far as the ledger knows of it. */
export type RecordedUsage = Pick<UsageEvent, 'id' | 'provider' | 'userId' | 'tokens' | 'allowed'>;

/** What an audit asks a usage store that is not in the ledger's database. Pages are bounded, whatever the number of events. */
export interface UsageBooks {
  /** Older events may have expired */
  keptSince(): Date;
  /** The events of these ids that are stored */
  find(ids: readonly string[]): Promise<Map<string, RecordedUsage>>;
  /** Every stored event, in no order */
  all(): AsyncIterable<RecordedUsage[]>;
  /** Recounts the events; answers how many counts of the roll-ups differ from the recount. Reads every event. */
  rollUpMismatches(): Promise<number>;
}

/** A payment as its provider knows it. OPEN: made, and money may be held; ENDED: cancelled or refunded. */
export interface KnownPayment {
  id: string;
  sagaId: string;
  state: 'OPEN' | 'CAPTURED' | 'ENDED';
  createdAt: Date;
}

/** What an audit asks a payment provider whose books are not in the ledger's database. */
export interface PaymentBooks {
  provider: string;
  /** Every payment of ours that was made at `from` or later; null: every one. In pages */
  since(from: Date | null): AsyncIterable<KnownPayment[]>;
  /** As it stands now; null: it is not ours */
  current(id: string): Promise<KnownPayment | null>;
}

/** One law of the ledger and what breaks it. */
export interface Breach {
  /** Number of the invariant in ARCHITECTURE.md */
  invariant: 1 | 2 | 3 | 4 | 5 | 6;
  law: string;
  count: number;
  /** Ids of the first few */
  samples: string[];
}

export interface AuditReport {
  /** ISO-8601 */
  checkedAt: string;
  checked: { pools: number; consumptions: number; purchases: number; usageEvents: number };
  breaches: Breach[];
  /** Laws about books elsewhere that did not answer, each with the reason; unset: none */
  unchecked?: string[];
}

export interface Auditor {
  /** Checks every invariant, those of the ledger in one snapshot. What is younger than `graceSeconds` may still be on its way and counts for nothing. */
  audit(graceSeconds: number): Promise<AuditReport>;
}
