/** Everything a worker can run; the bundle is built from here. One line per module. */
export { purchaseQuota } from './quota-purchase.js';
export * from './maintenance.js';
