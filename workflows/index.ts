/** Everything a worker can run; the bundle is built from here. */
export * from './maintenance.js';
export * from './quota-purchase.js';
export * from './reconciliation.js';
export * from './token-consumption.js';
