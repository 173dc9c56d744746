import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { log, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { SagaHead } from '../activities/purchase-ports.js';
import type { PurchaseFailure, PurchaseOrder, PurchaseState, SEARCH_ATTRIBUTES, SagaStatus } from '../contracts/temporal.js';
import type { Parked } from './saga.js';

const key = <T extends SearchAttributeType>(name: keyof typeof SEARCH_ATTRIBUTES, type: T) => defineSearchAttributeKey(name, type);
const sagaStatus = key('LeakySagaStatus', SearchAttributeType.KEYWORD);
const sagaParked = key('LeakySagaParked', SearchAttributeType.BOOL);

/** A parked purchase is tried again for ever; what is shown of it is not. */
const SHOWN_LINES = 40;

export interface Refusal {
  reason: PurchaseFailure;
  detail: string;
}

/**
 * What a purchase shows of itself: the `status` query, the search attributes, and the details in the Web UI, which are
 * made here and cost no history events.
 */
export class PurchaseBoard {
  status: SagaStatus = 'STARTED';
  refusal: Refusal | null = null;
  /** Until the capture is asked for; from then on a cancellation would race with the money. */
  cancellable = true;
  /** Asked for, and on its way */
  cancelled = false;
  parked: Parked | null = null;
  /** As its provider names it; null: not known, or it has no name of its own */
  paymentId: string | null = null;
  private step = 'starting';
  private readonly journal: string[] = [];

  constructor(private readonly order: PurchaseOrder) {
    this.note('accepted');
  }

  /** @param step what the purchase does now, in an operator's words */
  doing(step: string): void {
    this.step = step;
    this.note(step);
  }

  reached(status: SagaStatus): void {
    this.status = status;
    // Each one costs an event and a write to the visibility store; the query and the details tell the steps for nothing.
    if (this.order.revision === undefined || status === 'COMPLETED' || status === 'FAILED') {
      upsertSearchAttributes([{ key: sagaStatus, value: status }]);
    }
    this.note(`**${status}**`);
  }

  /** Shows the purchase as another execution left it. */
  adopt({ status, failureReason, failureDetail }: SagaHead): void {
    if (failureReason) this.refusal = { reason: failureReason, detail: failureDetail ?? '' };
    this.reached(status);
  }

  refused(refusal: Refusal): void {
    this.refusal = refusal;
    this.cancellable = false;
    this.note(`failing with **${refusal.reason}**: ${refusal.detail}`);
  }

  park(parked: Parked | null): void {
    const { sagaId } = this.order;
    if (parked && !this.parked) upsertSearchAttributes([{ key: sagaParked, value: true }]);
    if (!parked) upsertSearchAttributes([{ key: sagaParked, value: false }]);
    this.parked = parked;
    if (parked) log.error('purchase parked', { sagaId, step: parked.step.name, error: parked.error, nextTryAt: parked.nextTryAt });
    else log.info('purchase goes on', { sagaId });
    this.note(parked ? `parked: cannot ${parked.step.name}: ${parked.error}` : 'no longer parked');
  }

  state(pendingCompensations: string[]): PurchaseState {
    return {
      status: this.status,
      step: this.parked ? `parked: cannot ${this.parked.step.name}` : this.step,
      failureReason: this.refusal?.reason ?? null,
      failureDetail: this.refusal?.detail ?? null,
      cancellable: this.cancellable,
      parked: this.parked !== null,
      pendingCompensations,
    };
  }

  private note(text: string): void {
    this.journal.push(`- ${new Date().toISOString()} ${text}`);
    if (this.journal.length > SHOWN_LINES) this.journal.splice(1, 1);
    setCurrentDetails(this.details());
  }

  private details(): string {
    const { tokens, provider, amountCents, paymentMethod } = this.order;
    const lines = [
      `Purchase of **${tokens} ${provider} tokens** for ${amountCents} US cents with \`${paymentMethod}\`${this.paymentId ? ` (payment \`${this.paymentId}\`)` : ''}: **${this.status}**`,
    ];
    if (this.refusal) lines.push('', `Fails because of **${this.refusal.reason}**: ${this.refusal.detail}`);
    if (this.parked) lines.push(...parkedLines(this.parked));
    return [...lines, '', ...this.journal].join('\n');
  }
}

const parkedLines = ({ step, error, nextTryAt }: Parked): string[] => [
  '',
  `### Parked: cannot ${step.name}`,
  '',
  `Last error: ${error}`,
  '',
  `What to do: ${step.remedy} Then send the signal \`retryNow\`; without it the step is tried again at ${nextTryAt}.`,
];
