import assert from 'node:assert/strict';
import type { z } from 'zod';
import { operations as analyticsOperations } from '../../api/analytics/service.js';
import { authOperations } from '../../api/auth/service.js';
import { fallbackOperation } from '../../api/gateway/fallback.js';
import type { Operation } from '../../api/http/openapi.js';
import { operations as tokenOperations } from '../../api/tokens/operations.js';
import { purchaseOperations } from '../../api/tokens/purchases.js';
import type { System } from '../support/system.js';
import { assertProblem, call, type Answer, type CallOptions } from './http.js';
import { Documented } from './openapi.js';

export type ServiceName = 'auth' | 'tokens' | 'analytics';
/** Every route is reachable both ways, and keeps the same promises. */
export const WAYS = ['through the gateway', 'directly'] as const;
export type Way = (typeof WAYS)[number];

export const OPERATIONS: readonly Operation[] = [
  ...authOperations,
  ...tokenOperations,
  ...purchaseOperations,
  ...analyticsOperations,
  fallbackOperation,
];

export interface Ask extends CallOptions {
  params?: Record<string, string>;
  query?: Record<string, string | number>;
}

/** Asks an operation of the contract and holds the answer to all that is promised of every answer. */
export class Contract {
  private readonly documents = new Map<string, Promise<Documented>>();
  constructor(private readonly system: () => System) {}

  baseOf(way: Way, template: string): string {
    return way === 'through the gateway' ? this.system().gateway : this.system()[serviceOf(template)];
  }

  async ask(way: Way, method: string, template: string, { params = {}, query, ...options }: Ask = {}): Promise<Answer> {
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? `no-${name}`));
    const search = query ? `?${searchOf(query)}` : '';
    const base = this.baseOf(way, template);
    const answer = await call(base, method, path + search, options);
    const known = this.documents.get(base) ?? Documented.at(base);
    this.documents.set(base, known);
    (await known).assertAnswer(method, template, answer);
    assertCommon(answer, way);
    assertExact(method, template, answer);
    if (answer.status >= 400) assert.equal(answer.body.path, path);
    return answer;
  }
}

const searchOf = (query: Record<string, string | number>) =>
  Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');

const serviceOf = (template: string): ServiceName =>
  template.startsWith('/api/v1/tokens') ? 'tokens' : template.startsWith('/api/v1/analytics') ? 'analytics' : 'auth';

function assertCommon(answer: Answer, way: Way): void {
  if (answer.status >= 400) assertProblem(answer, answer.status);
  for (const name of ['x-correlation-id', 'access-control-allow-origin', 'x-content-type-options', 'content-security-policy']) {
    assert.equal(timesSent(answer, name), 1, `${name}, ${way}: ${JSON.stringify(answer.rawHeaders)}`);
  }
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.equal(answer.headers['x-powered-by'], undefined);
  if (way === 'directly' || answer.status === 401) return;
  for (const name of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'ratelimit', 'ratelimit-policy']) {
    assert.equal(timesSent(answer, name), 1, `${name} is missing or doubled`);
  }
}

export const timesSent = ({ rawHeaders }: Answer, name: string): number =>
  rawHeaders.filter((header, index) => index % 2 === 0 && header.toLowerCase() === name).length;

/** The body has exactly the members of the schema that the code shares: none is missing, none is more than promised. */
function assertExact(method: string, template: string, { status, body }: Answer): void {
  const operation = OPERATIONS.find((one) => one.path === template && one.method === method.toLowerCase());
  const schema: z.ZodType | undefined = operation?.responses[status]?.schema;
  if (schema) assert.deepEqual(schema.parse(body), body);
}
