import { Router } from 'express';
import type { Operation } from '../http/openapi.js';
import type { PurchaseDeps } from './purchase-deps.js';
import { approveOperation, cancel, cancelOperation, retryOperation, signal } from './purchase-messages.js';
import { purchaseById, purchaseByIdOperation, purchases, purchasesOperation } from './purchase-queries.js';
import { prices, pricesOperation } from './prices.js';
import { purchase, purchaseOperation } from './purchase-route.js';

export const purchaseOperations: Operation[] = [
  pricesOperation,
  purchaseOperation,
  purchaseByIdOperation,
  purchasesOperation,
  cancelOperation,
  approveOperation,
  retryOperation,
];

/** What anyone may ask. Mount before `authenticate`. */
export function publicPurchaseRoutes({ config, paymentMethods }: Pick<PurchaseDeps, 'config' | 'paymentMethods'>): Router {
  return Router().get(pricesOperation.path, prices(config, paymentMethods));
}

/** The purchase routes of the token service, with their full paths. Mount behind `authenticate`. */
export function purchaseRoutes(deps: PurchaseDeps): Router {
  const path = (operation: Operation) => operation.path.replaceAll(/\{(\w+)\}/g, ':$1');
  const router = Router();
  router.post(path(purchaseOperation), purchase(deps));
  router.get(path(purchaseByIdOperation), purchaseById(deps));
  router.get(path(purchasesOperation), purchases(deps));
  router.post(path(cancelOperation), cancel(deps));
  router.post(path(approveOperation), signal(deps, 'approve'));
  router.post(path(retryOperation), signal(deps, 'retryNow'));
  return router;
}
