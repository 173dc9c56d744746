/** A consumption that has been HELD for longer than any provider call takes. */
export interface StaleHold {
  id: string;
  workflowId: string;
}

export interface StaleHolds {
  find(olderThanSeconds: number, limit: number): Promise<StaleHold[]>;
  /** Consumptions of a workflow that ended a while ago, at most a quarter of an hour more, and are not in the usage events. */
  findUnreported(olderThanSeconds: number, limit: number): Promise<StaleHold[]>;
}

export interface OpenWorkflows {
  /** Whether an execution of this id is running. Throws when the engine can't tell: unknown is not closed. */
  isOpen(workflowId: string): Promise<boolean>;
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
}

export interface Auditor {
  /** Checks every invariant in one snapshot. What is younger than `graceSeconds` may still be on its way and counts for nothing. */
  audit(graceSeconds: number): Promise<AuditReport>;
}
