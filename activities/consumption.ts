import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { setMaxListeners } from 'node:events';
import type { ErrorCode } from '../contracts/errors.js';
import type { ConsumptionBatch } from '../contracts/temporal.js';
import { inTraceOf } from '../telemetry/tracing.js';
import { DEFAULT_PROMPT } from '../domain/prompt.js';
import type { ConsumptionLedger, ConsumptionRequest, ConsumptionRow, Intake, ReserveOutcome, Settlement } from './consumption-ports.js';
import type { Providers, UsageSink } from './ports.js';
import { ProviderCalls } from './provider-calls.js';
import type { Settler } from './settler.js';

export interface ConsumptionActivityDeps {
  ledger: ConsumptionLedger;
  settler: Settler;
  providers: Pick<Providers, 'complete'>;
  intake: Intake;
  usage: UsageSink;
}

export type ConsumptionActivities = ReturnType<typeof createConsumptionActivities>;

/** The steps of `consumeTokens`. Each takes the whole batch and is idempotent on the consumption ids. */
export function createConsumptionActivities({ ledger, settler, providers, intake, usage }: ConsumptionActivityDeps) {
  const calls = new ProviderCalls(providers);

  /** Hold quota. Without the requests (the process that had them died) only rows that were already committed count. */
  async function reserveTokens(batch: ConsumptionBatch): Promise<{ held: number; refused: number; abandoned: number }> {
    const workflowId = ownWorkflowId();
    const requests = intake.claim(batch.batchId) ?? [];
    const outcomes = requests.length > 0 ? await patiently(() => ledger.reserve(workflowId, requests)) : [];
    for (const outcome of outcomes) answerRefusal(outcome);
    // The others were decided by an earlier execution of this step, here or in a process that died.
    const seen = new Set(outcomes.map(({ id }) => id));
    const others = batch.consumptionIds.filter((id) => !seen.has(id));
    const own: { state: string }[] = outcomes.filter((outcome) => outcome.state !== 'FOREIGN');
    if (others.length > 0) own.push(...(await ownRows(others, workflowId)));
    const refused = own.filter((outcome) => outcome.state === 'REFUSED').length;
    return { held: own.length - refused, refused, abandoned: batch.consumptionIds.length - own.length };
  }

  function answerRefusal({ id, state, available }: Pick<ReserveOutcome, 'id' | 'state'> & { available?: number }): void {
    if (state === 'FOREIGN') intake.answer(id, { kind: 'foreign' });
    if (state === 'REFUSED') {
      intake.answer(id, {
        kind: 'ended',
        code: 'INSUFFICIENT_QUOTA',
        detail: 'insufficient token quota',
        ...(available !== undefined && { available }),
      });
    }
  }

  /** Call the provider for every item still held; each is settled and answered as soon as its own call ends. */
  async function callProviders(batch: ConsumptionBatch): Promise<{ settled: number; released: number }> {
    const workflowId = ownWorkflowId();
    const signal = Context.current().cancellationSignal;
    const shutdown = shutdownOf(signal);
    const waiting = intake.claim(batch.batchId);
    const rows = waiting ? [] : await ownRows(batch.consumptionIds, workflowId);
    const held: ConsumptionRequest[] = waiting ?? rows.filter((row) => row.state === 'HELD');
    const states = await Promise.all(
      held.map(async (item) => {
        const state = await inTraceOf(item, async () => settler.settle(await settlementFor(item, workflowId, shutdown), signal));
        calls.forget(item.id);
        return state;
      }),
    );
    for (const row of rows) if (row.state !== 'HELD') states.push(row.state);
    intake.finish(batch.batchId);
    return { settled: count(states, 'SETTLED'), released: count(states, 'RELEASED') };
  }

  async function settlementFor(item: ConsumptionRequest, workflowId: string, shutdown: AbortSignal): Promise<Settlement> {
    if (!item.keyed && !intake.isWaiting(item.id)) {
      return release(
        item.id,
        workflowId,
        'ABANDONED',
        'The process that took the request died before there was an answer, and without a key nobody can ask for it again',
      );
    }
    const outcome = await calls.complete(
      {
        consumptionId: item.id,
        caller: item.caller ?? item.userId,
        provider: item.provider,
        ...(item.model !== null && { model: item.model }),
        messages: [{ role: 'user', content: item.prompt ?? DEFAULT_PROMPT }],
        maxTokens: item.tokens,
      },
      shutdown,
    );
    return outcome.ok
      ? { id: item.id, workflowId, charge: item.tokens, code: null, detail: null, attempts: outcome.attempts, answer: outcome.answer }
      : {
          ...release(item.id, workflowId, outcome.code, outcome.detail, outcome.attempts),
          ...(outcome.retryAfterSeconds !== undefined && { retryAfterSeconds: outcome.retryAfterSeconds }),
        };
  }

  /** Give back whatever this workflow holds, because its reserve step failed. The waiting callers learn it at once. */
  async function releaseHolds(batch: ConsumptionBatch): Promise<{ settled: number; released: number }> {
    const workflowId = ownWorkflowId();
    const detail = 'The ledger did not answer; nothing was charged';
    for (const id of batch.consumptionIds) intake.answer(id, { kind: 'ended', code: 'SERVICE_UNAVAILABLE', detail });
    intake.finish(batch.batchId);
    const held = (await ownRows(batch.consumptionIds, workflowId)).filter((row) => row.state === 'HELD');
    if (held.length > 0) await ledger.settle(held.map((row) => release(row.id, workflowId, 'SERVICE_UNAVAILABLE', detail)));
    return { settled: 0, released: held.length };
  }

  async function publishUsage(batch: ConsumptionBatch): Promise<void> {
    intake.publish(batch.batchId);
    await usage.publish(await ledger.usageOf(ownWorkflowId(), batch.consumptionIds));
    intake.published(batch.batchId);
  }

  async function ownRows(ids: readonly string[], workflowId: string): Promise<ConsumptionRow[]> {
    return (await ledger.find(ids)).filter((row) => row.workflowId === workflowId);
  }

  return { reserveTokens, callProviders, releaseHolds, publishUsage };
}

/** From the first attempt on. Callers wait: a ledger that hangs is given up before the gateway gives them up. */
const RESERVE_PATIENCE_MS = 4_000;

/** Errors are tried again only while there is patience left. */
async function patiently<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (Date.now() - Context.current().info.scheduledTimestampMs < RESERVE_PATIENCE_MS) throw error;
    throw ApplicationFailure.create({ message: 'The ledger did not answer in time', nonRetryable: true, cause: error as Error });
  }
}

/** Aborts when the worker shuts down; not when the engine forgot about this execution or its time is over. */
function shutdownOf(cancellation: AbortSignal): AbortSignal {
  const shutdown = new AbortController();
  // Every call of the batch listens to it.
  setMaxListeners(0, shutdown.signal);
  const cancelled = () => {
    const { reason } = cancellation as { reason: unknown };
    if (reason instanceof CancelledFailure && reason.message === 'WORKER_SHUTDOWN') shutdown.abort(reason);
  };
  if (cancellation.aborted) cancelled();
  else cancellation.addEventListener('abort', cancelled, { once: true });
  return shutdown.signal;
}

const ownWorkflowId = (): string => Context.current().info.workflowExecution?.workflowId ?? '';

const count = (states: readonly string[], state: string): number => states.filter((one) => one === state).length;

function release(id: string, workflowId: string, code: ErrorCode, detail: string, attempts = 0): Settlement {
  return { id, workflowId, charge: 0, code, detail, attempts, answer: null };
}
