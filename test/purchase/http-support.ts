import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { PaymentMethods } from '../../activities/purchase-ports.js';
import { simulatedMethods } from '../../adapters/payments/simulated-methods.js';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { createPurchasePlaces } from '../../adapters/postgres/purchase-places.js';
import { createPurchaseReader } from '../../adapters/postgres/sagas.js';
import { createPurchaseEngine } from '../../adapters/temporal/purchases.js';
import { createServiceApp, listen, type RunningServer } from '../../api/http/service.js';
import type { PurchaseDeps } from '../../api/tokens/purchase-deps.js';
import { publicPurchaseRoutes, purchaseOperations, purchaseRoutes } from '../../api/tokens/purchases.js';
import { loadConfig } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import type { Bench } from './bench.js';

export interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface Person {
  userId: string;
  roles: string[];
}

export const someone = (...roles: string[]): Person => ({ userId: randomUUID(), roles: ['USER', ...roles] });

export interface Api {
  /** `as` is who calls; a body makes it a POST */
  call(as: Person, path: string, options?: { method?: string; body?: unknown; key?: string }): Promise<Answer>;
  /** Members; the first one is the OWNER */
  orgs: Map<string, string[]>;
}

/** The purchase routes on a real server. Who calls is taken from a header here; proving it is what the tests of auth are about. */
export function withApi(
  bench: Bench,
  settings: { client?: () => Client; env?: NodeJS.ProcessEnv; deadlineMs?: number; paymentMethods?: PaymentMethods } = {},
): Api {
  const orgs = new Map<string, string[]>();
  let server: RunningServer | undefined;
  before('the API', async () => {
    const config = loadConfig(settings.env ?? {});
    const client = settings.client?.() ?? bench.temporal().client;
    const { deadlineMs } = settings;
    const deps: PurchaseDeps = {
      config,
      memberships: {
        isMember: (userId, orgId) => Promise.resolve(orgs.get(orgId)?.includes(userId) ?? false),
        roleOf: (userId, orgId) => {
          const members = orgs.get(orgId) ?? [];
          return Promise.resolve(members[0] === userId ? 'OWNER' : members.includes(userId) ? 'MEMBER' : null);
        },
        orgsOf: () => Promise.resolve([]),
      },
      ledger: createPurchaseLedger(bench.pool()),
      // Who exists is the accounts' to say, which are left out here like the proof of identity.
      quota: { ownerExists: () => Promise.resolve(true) },
      purchases: createPurchaseReader(bench.pool()),
      places: createPurchasePlaces(bench.pool(), config.purchase.openPerCaller),
      engine: createPurchaseEngine({ client, taskQueue: bench.taskQueue, ...(deadlineMs && { deadlineMs }) }),
      paymentMethods: settings.paymentMethods ?? simulatedMethods,
      clock: () => new Date(),
    };
    const app = createServiceApp({
      name: 'tokens',
      title: 'Purchases',
      config,
      log: createLogger('silent'),
      operations: purchaseOperations,
      serverUrl: 'http://127.0.0.1',
      routes: (router) => {
        router.use(publicPurchaseRoutes(deps));
        router.use((req, res, next) => {
          const person = JSON.parse(String(req.headers['x-test-person'])) as Person;
          res.locals.caller = { ...person, username: 'someone', apiKeyId: null, keyTier: null };
          next();
        });
        router.use(purchaseRoutes(deps));
      },
    });
    server = await listen(app, '127.0.0.1', 0);
  });
  after('close the API', () => server?.close(1_000));

  return {
    orgs,
    async call(as, path, { method, body, key } = {}) {
      assert.ok(server);
      const response = await fetch(`http://127.0.0.1:${server.port}/api/v1/tokens${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          'x-test-person': JSON.stringify(as),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
    },
  };
}
