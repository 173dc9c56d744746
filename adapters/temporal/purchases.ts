import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { EngineUnreachable, type PurchaseEngine } from '../../api/tokens/purchase-ports.js';
import {
  CANCELLED_ALREADY,
  PURCHASE_MESSAGES,
  TASK_QUEUES,
  WORKFLOWS,
  workflowIds,
  type PurchaseMemo,
  type PurchaseOrder,
  type PurchaseState,
  type SEARCH_ATTRIBUTES,
  type SagaStatus,
} from '../../contracts/temporal.js';

const keyword = (name: keyof typeof SEARCH_ATTRIBUTES) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
const sagaStatus = keyword('LeakySagaStatus');

export interface PurchaseEngineOptions {
  client: Client;
  /** Each call answers or fails within this time, whatever the server does; default 4 s, below the gateway's 5 s */
  deadlineMs?: number;
  /** Default: the queue that purchase workers poll. A worker on the client's own connection gets the first task with the answer. */
  taskQueue?: string;
}

/** Purchases as workflows `purchase-{sagaId}`; an id is used once, so a repeated start finds the first one. */
export function createPurchaseEngine({
  client,
  deadlineMs = 4_000,
  taskQueue = TASK_QUEUES.purchase,
}: PurchaseEngineOptions): PurchaseEngine {
  const handle = (sagaId: string) => client.workflow.getHandle(workflowIds.purchase(sagaId));

  /** `expected` turns the errors that are answers into answers; all others mean that the engine did not do its part. */
  async function ask<T>(call: () => Promise<T>, expected: (error: unknown) => T | undefined): Promise<T> {
    try {
      return await inTime(() => client.withDeadline(Date.now() + deadlineMs, call), deadlineMs);
    } catch (error) {
      const answer = expected(error);
      if (answer !== undefined) return answer;
      throw new EngineUnreachable(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  return {
    start: (order) =>
      ask<'STARTED' | 'EXISTS'>(
        async () => {
          await client.workflow.start(WORKFLOWS.purchaseQuota, { ...startOptions(order), taskQueue, requestEagerStart: true });
          return 'STARTED';
        },
        (error) => (error instanceof WorkflowExecutionAlreadyStartedError ? 'EXISTS' : undefined),
      ),

    find: (sagaId) =>
      ask<{ status: SagaStatus; memo: PurchaseMemo } | null>(
        async () => {
          const { memo, typedSearchAttributes } = await handle(sagaId).describe();
          return { status: (typedSearchAttributes.get(sagaStatus) ?? 'STARTED') as SagaStatus, memo: readMemo(memo) };
        },
        (error) => (error instanceof WorkflowNotFoundError ? null : undefined),
      ),

    cancel: (sagaId) =>
      ask<Awaited<ReturnType<PurchaseEngine['cancel']>>>(
        async () => {
          await handle(sagaId).executeUpdate<PurchaseState, []>(PURCHASE_MESSAGES.cancel);
          return { result: 'CANCELLING' };
        },
        (error) => {
          if (error instanceof WorkflowNotFoundError) return { result: 'GONE' };
          if (isRepeat(error)) return { result: 'CANCELLING' };
          if (error instanceof WorkflowUpdateFailedError) return { result: 'REFUSED', detail: error.cause?.message ?? error.message };
          return undefined;
        },
      ),

    signal: (sagaId, name) =>
      ask(
        async () => {
          await handle(sagaId).signal(PURCHASE_MESSAGES[name]);
          return true;
        },
        (error) => (error instanceof WorkflowNotFoundError ? false : undefined),
      ),
  };
}

const isRepeat = (error: unknown): boolean =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure && error.cause.type === CANCELLED_ALREADY;

function startOptions(order: PurchaseOrder) {
  const { payloadHash, userId, orgId, provider, tokens, idempotencyKey, createdAt, amountCents, paymentMethod } = order;
  const remembered: PurchaseMemo = { payloadHash, userId, orgId, provider, tokens, idempotencyKey, createdAt, amountCents, paymentMethod };
  return {
    workflowId: workflowIds.purchase(order.sagaId),
    args: [order],
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
    typedSearchAttributes: new TypedSearchAttributes([
      { key: sagaStatus, value: 'STARTED' },
      { key: keyword('LeakyUserId'), value: userId },
      { key: keyword('LeakyProvider'), value: provider },
      { key: keyword('LeakyCorrelationId'), value: order.correlationId },
    ]),
    memo: remembered as unknown as Record<string, unknown>,
    staticSummary: `${tokens} ${provider} tokens for ${amountCents} US cents`,
    staticDetails: `Bought by user \`${userId}\`${orgId === null ? '' : ` for organisation \`${orgId}\``}; correlation id \`${order.correlationId}\``,
  };
}

/** The server drops members that are null. */
function readMemo(memo: Record<string, unknown> | undefined): PurchaseMemo {
  return { orgId: null, idempotencyKey: null, ...(memo as unknown as Omit<PurchaseMemo, 'orgId' | 'idempotencyKey'>) };
}

/** The deadline of the call itself does not hold while the connection is being made anew, so a timer of our own does. */
async function inTime<T>(work: () => Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new EngineUnreachable(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
