import express from 'express';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StandInIntent {
  id: string;
  object: 'payment_intent';
  amount: number;
  created: number;
  metadata: Record<string, string>;
  status: string;
  last_payment_error: { message: string } | null;
  latest_charge: { refunded: boolean } | null;
}

export interface StripeStandIn {
  baseUrl: string;
  /** What happened to money, in order: "capture pi_1" */
  effects: string[];
  intents: ReadonlyMap<string, StandInIntent>;
  /** As Stripe does after a day */
  forgetKeys(): void;
  /** Whether list and search show what there is; else they show nothing */
  shows: boolean;
  /** Asked for each request: BEFORE loses the request, AFTER carries it out and loses the answer */
  loses: (method: string, path: string) => 'BEFORE' | 'AFTER' | null;
  /** The next so many requests whose path ends so are carried out, then answered with a 500 */
  failAfter: Map<string, number>;
  close(): Promise<void>;
}

/**
 * The part of Stripe's API that payments need, with its states, idempotency keys (also for failures) and error shapes. Stripe's own mock keeps no
 * state, so it can check the form of requests only.
 * @param mockUrl a running stripe-mock: requests whose form it refuses are refused here too
 */
export async function startStripeStandIn(mockUrl?: string): Promise<StripeStandIn> {
  const intents = new Map<string, StandInIntent>();
  const control: Pick<StripeStandIn, 'shows' | 'loses'> = { shows: true, loses: () => null };
  const replays = new Map<string, { status: number; body: object }>();
  const effects: string[] = [];
  const failAfter = new Map<string, number>();
  const app = express();
  app.set('query parser', 'extended');
  app.use(express.raw({ type: () => true }), async (req, res, next) => {
    const form = Buffer.isBuffer(req.body) ? req.body.toString('utf8') : '';
    req.body = Object.fromEntries(new URLSearchParams(form));
    const fault = mockUrl && (await faultOfForm(mockUrl + req.url, req.method, req.headers, form));
    if (fault) res.status(422).json({ error: { type: 'api_error', message: fault } });
    else next();
  });

  app.use((req, res) => {
    const loss = control.loses(req.method, req.path);
    if (loss === 'BEFORE') return void req.socket.destroy();
    const key = req.headers['idempotency-key'];
    const stored = typeof key === 'string' ? replays.get(key) : undefined;
    if (stored) return void (loss ? req.socket.destroy() : res.status(stored.status).json(stored.body));
    let answer = handle(
      req.method,
      req.path,
      { ...(req.query as Record<string, string>), ...((req.body ?? {}) as Record<string, string>) },
      req.query,
    );
    for (const [suffix, left] of failAfter) {
      if (left < 1 || req.method !== 'POST' || !req.path.endsWith(suffix)) continue;
      failAfter.set(suffix, left - 1);
      answer = { status: 500, body: { error: { type: 'api_error', message: 'Something went wrong on our end' } } };
    }
    if (typeof key === 'string') replays.set(key, answer);
    if (loss === 'AFTER') return void req.socket.destroy();
    res.status(answer.status).json(answer.body);
  });

  function handle(method: string, path: string, body: Record<string, string>, query: object): { status: number; body: object } {
    const [, , collection, id, action] = path.split('/');
    if (collection === 'refunds') {
      const intent = intents.get(body['payment_intent'] ?? '');
      if (!intent?.latest_charge) return failure(404, 'resource_missing', 'No such payment_intent');
      if (intent.latest_charge.refunded) return failure(400, 'charge_already_refunded', 'It has been refunded');
      intent.latest_charge.refunded = true;
      effects.push(`refund ${intent.id}`);
      return { status: 200, body: { id: 're_1', object: 'refund', status: 'succeeded' } };
    }
    if (id === undefined && method === 'GET') return list(query as ListQuery);
    if (id === undefined) return create(body);
    if (id === 'search') return search(body['query'] ?? '');
    const intent = intents.get(id);
    if (!intent) return failure(404, 'resource_missing', 'No such payment_intent');
    return method === 'GET' ? { status: 200, body: { ...intent } } : move(intent, action ?? '', body['payment_method'] ?? '');
  }

  function create(body: Record<string, string>): { status: number; body: object } {
    if (Number(body['amount']) < 50) return failure(400, 'amount_too_small', 'Amount must be at least $0.50 usd');
    const intent: StandInIntent = {
      id: `pi_${intents.size + 1}_${randomBytes(4).toString('hex')}`,
      object: 'payment_intent',
      amount: Number(body['amount']),
      created: Math.floor(Date.now() / 1000),
      metadata: { leaky_saga_id: body['metadata[leaky_saga_id]'] ?? '' },
      status: 'requires_payment_method',
      last_payment_error: null,
      latest_charge: null,
    };
    intents.set(intent.id, intent);
    return { status: 200, body: { ...intent } };
  }

  interface ListQuery {
    created?: { gte?: string };
    limit?: string;
    starting_after?: string;
  }

  /** Newest first, page by page */
  function list({ created, limit = '10', starting_after: after }: ListQuery): { status: number; body: object } {
    const all = control.shows ? [...intents.values()].reverse() : [];
    const found = all.filter((intent) => intent.created >= Number(created?.gte ?? 0));
    const from = after === undefined ? 0 : found.findIndex(({ id }) => id === after) + 1;
    const data = found.slice(from, from + Number(limit));
    return { status: 200, body: { object: 'list', data, has_more: from + data.length < found.length } };
  }

  function search(query: string): { status: number; body: object } {
    const [, sagaId] = /^metadata\['leaky_saga_id'\]:'([^']*)'$/.exec(query) ?? [];
    const data = control.shows ? [...intents.values()].filter(({ metadata }) => metadata['leaky_saga_id'] === sagaId) : [];
    return { status: 200, body: { object: 'search_result', data, has_more: false } };
  }

  function move(intent: StandInIntent, action: string, paymentMethod: string): { status: number; body: object } {
    const from: Record<string, string[]> = {
      confirm: ['requires_payment_method'],
      capture: ['requires_capture'],
      cancel: ['requires_payment_method', 'requires_capture'],
    };
    if (!from[action]?.includes(intent.status)) return failure(400, 'payment_intent_unexpected_state', `Its status is ${intent.status}`);
    if (action === 'confirm' && paymentMethod === 'pm_card_chargeDeclined') {
      intent.last_payment_error = { message: 'Your card was declined.' };
      return { status: 402, body: { error: { type: 'card_error', code: 'card_declined', message: 'Your card was declined.' } } };
    }
    const held = intent.status === 'requires_capture';
    intent.status = { confirm: 'requires_capture', capture: 'succeeded', cancel: 'canceled' }[action] ?? intent.status;
    if (action === 'capture') intent.latest_charge = { refunded: false };
    if (action !== 'cancel' || held) effects.push(`${action} ${intent.id}`);
    return { status: 200, body: { ...intent } };
  }

  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(control, {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    effects,
    intents,
    failAfter,
    forgetKeys: () => replays.clear(),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

const failure = (status: number, code: string, message: string) => ({
  status,
  body: { error: { type: 'invalid_request_error', code, message } },
});

async function faultOfForm(url: string, method: string, headers: IncomingHttpHeaders, body: string): Promise<string | null> {
  const passed = { authorization: String(headers.authorization), 'content-type': 'application/x-www-form-urlencoded' };
  const response = await fetch(url, { method, headers: passed, ...(method !== 'GET' && { body }) });
  return response.ok ? null : `stripe-mock refuses ${method} ${url}: ${await response.text()}`;
}
