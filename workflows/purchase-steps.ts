import { type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import type { PurchaseActivities } from '../activities/purchase.js';

/** Calls to our own database: quick, and worth repeating soon. Attempts end with the purchase's limit. */
const BOOKS: ActivityOptions = {
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '200 milliseconds', backoffCoefficient: 2, maximumInterval: '5 seconds' },
};

/** Calls to the payment provider, always with the same idempotency key. A dead worker is noticed by its missing heartbeat. */
const PAYMENT: ActivityOptions = {
  startToCloseTimeout: '30 seconds',
  heartbeatTimeout: '5 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
};

/** Steps that have to happen: after these attempts (about 8 s) `insist` parks them where an operator sees them. */
const SURE = { initialInterval: '500 milliseconds', backoffCoefficient: 2, maximumAttempts: 5 } as const;

/** A notice to operators must not hold up the purchase. */
const NOTICE: ActivityOptions = {
  startToCloseTimeout: '5 seconds',
  retry: { initialInterval: '200 milliseconds', maximumAttempts: 3 },
};

const proxy = <Name extends keyof PurchaseActivities>(name: Name, summary: string, options: ActivityOptions) =>
  proxyActivities<Pick<PurchaseActivities, Name>>({ ...options, summary })[name];

/** Looks whether the stores are back, for as long as it takes. Costs the history nothing while they are away. */
const LOOKOUT: ActivityOptions = {
  startToCloseTimeout: '5 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 1.5, maximumInterval: '3 seconds' },
};

export const openSaga = proxy('openSaga', 'Write the purchase down', BOOKS);
export const reservePayment = proxy('reservePayment', 'Reserve the payment', PAYMENT);
export const allocateTokens = proxy('allocateTokens', 'Allocate the tokens as pending', BOOKS);
export const capturePayment = proxy('capturePayment', 'Capture the payment: point of no return', PAYMENT);
export const completePurchase = proxy('completePurchase', 'Make the tokens spendable', { ...BOOKS, retry: SURE });

export const voidTokens = proxy('voidTokens', 'Undo: void the pending tokens', { ...BOOKS, retry: SURE });
export const releasePayment = proxy('releasePayment', 'Undo: release or refund the payment', { ...PAYMENT, retry: SURE });
export const failPurchase = proxy('failPurchase', 'Write the failure down', { ...BOOKS, retry: SURE });
export const reportParked = proxy('reportParked', 'Tell operators', NOTICE);
export const reachStores = proxy('reachStores', 'Wait until the stores answer', LOOKOUT);
