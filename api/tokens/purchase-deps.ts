import type { Response } from 'express';
import type { z } from 'zod';
import type { PurchaseLedger } from '../../activities/ports.js';
import type { PaymentMethods } from '../../activities/purchase-ports.js';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { purchaseView } from '../../contracts/http/purchases.js';
import { callerOf, isAdmin, type Memberships } from '../http/caller.js';
import { sightOf } from '../identity/authority.js';
import { viewOfMemo, viewOfRecord } from './purchase-orders.js';
import type { QuotaStore } from './ports.js';
import { EngineUnreachable, type PurchaseEngine, type PurchasePlaces, type PurchaseReader } from './purchase-ports.js';

export interface PurchaseDeps {
  config: Pick<Config, 'purchase' | 'flags'>;
  memberships: Memberships;
  /** Only its cap check: the API itself writes nothing */
  ledger: Pick<PurchaseLedger, 'room'>;
  quota: Pick<QuotaStore, 'ownerExists'>;
  purchases: PurchaseReader;
  places: PurchasePlaces;
  engine: PurchaseEngine;
  paymentMethods: PaymentMethods;
  clock: () => Date;
}

const RETRY_AFTER_SECONDS = 5;

/** @throws Problem ENGINE_UNAVAILABLE when the engine does not answer; `sagaId` in it tells what to look up */
export async function askEngine<T>(sagaId: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (!(cause instanceof EngineUnreachable)) throw cause;
    const detail =
      'The workflow engine does not answer; the request may still be carried out. Repeat it with the same Idempotency-Key, or look the saga up';
    throw new Problem('ENGINE_UNAVAILABLE', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS, sagaId }, { cause });
  }
}

export type SagaView = z.input<typeof purchaseView>;

/** The row, or what the workflow knows while there is no row yet, and the hash of what was asked for. */
export async function findSaga(deps: PurchaseDeps, sagaId: string): Promise<{ view: SagaView; payloadHash: string } | null> {
  const record = await deps.purchases.find(sagaId);
  if (record) return { view: viewOfRecord(record), payloadHash: record.payloadHash };
  const running = await askEngine(sagaId, () => deps.engine.find(sagaId));
  return running && { view: viewOfMemo(sagaId, running.status, running.memo), payloadHash: running.memo.payloadHash };
}

/** @throws Problem NOT_FOUND, also for someone else's saga: whether it exists is nobody else's business */
export async function requireSaga(deps: PurchaseDeps, res: Response, sagaId: string): Promise<SagaView> {
  const saga = await findSaga(deps, sagaId);
  if (!saga || (await sightOf(deps.memberships, callerOf(res), saga.view)) === 'NONE') {
    throw new Problem('NOT_FOUND', 'There is no such purchase');
  }
  return saga.view;
}

/** @throws Problem as `requireSaga`, FORBIDDEN to who may look at it only: it is its buyer's and an ADMIN's to stop */
export async function requireOwnSaga(deps: PurchaseDeps, res: Response, sagaId: string): Promise<SagaView> {
  const caller = callerOf(res);
  const saga = await requireSaga(deps, res, sagaId);
  if (saga.userId !== caller.userId && !isAdmin(caller)) throw new Problem('FORBIDDEN', 'Only who bought stops a purchase');
  return saga;
}
