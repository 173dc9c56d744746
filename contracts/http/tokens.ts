import { defaulted, idempotencyKey, optional, providerName, says, text, timestamp, uuid, whole, z } from './common.js';
import { isZone } from '../../domain/quota-window.js';
import { LARGEST_AMOUNT } from '../../domain/quota/limits.js';
import { TIERS } from '../../domain/tiers.js';

export const consumeBody = z
  .object({
    userId: uuid,
    orgId: optional(uuid).openapi({
      description: "Spend the organisation's pool instead of the user's; a key bound to an organisation always spends its pool",
    }),
    provider: providerName,
    tokens: whole(1, 10_000),
    prompt: optional(text({ min: 0, max: 200_000 })),
    model: optional(text({ max: 100 })),
    tag: optional(text({ max: 64, pattern: /^[\w.:/-]+$/, says: 'must be 1 to 64 letters, digits and _ . : / -', always: true })).openapi({
      description: 'Groups usage in reports',
    }),
  })
  .openapi('Consume');
export { z };
export type ConsumeBody = z.output<typeof consumeBody>;

export const idempotencyHeaders = z.object({ 'idempotency-key': idempotencyKey });

const providerResponse = z.object({
  id: z.string(),
  provider: providerName,
  model: z.string(),
  message: z.string(),
  usage: z.object({ promptTokens: z.int(), completionTokens: z.int(), totalTokens: z.int() }).nullable(),
});

export const consumeAnswer = z
  .object({
    allowed: z.literal(true),
    capacity: z.int(),
    used: z.int(),
    remaining: z.int(),
    waitSeconds: z.int(),
    timestamp,
    consumptionId: uuid,
    providerResponse,
  })
  .openapi('Consumed');

export const consumptionParams = z.object({ consumptionId: uuid });

export const consumptionView = z
  .object({
    consumptionId: uuid,
    userId: uuid,
    orgId: uuid.nullable(),
    provider: providerName,
    tokens: z.int(),
    state: z.enum(['HELD', 'SETTLED', 'RELEASED', 'REFUSED']),
    allowed: z.boolean().nullable().openapi({ description: 'null while it is held' }),
    charged: z.int(),
    reasons: z.array(z.object({ code: z.string(), detail: z.string() })),
    attempts: z.int().openapi({ description: 'HTTP calls sent to the provider' }),
    bucket: z
      .object({ capacity: z.int(), used: z.int(), remaining: z.int() })
      .openapi({ description: 'The rate bucket after the decision' }),
    workflowId: z.string().nullable(),
    temporalCommand: z.string().nullable().openapi({ description: 'Shows the workflow that carried this consumption' }),
    correlationId: z.string(),
    createdAt: timestamp,
    decidedAt: timestamp.nullable(),
    providerResponse: providerResponse
      .nullable()
      .openapi({ description: 'For who called; null for everybody else, and without an answer' }),
  })
  .openapi('Consumption');

export const quotaQuery = z.object({ userId: uuid, provider: providerName });
export const orgQuotaQuery = z.object({
  orgId: uuid.optional().openapi({ description: 'May be left out with a key that is bound to an organisation' }),
  provider: providerName,
});

const balance = {
  provider: providerName,
  totalTokens: z.int(),
  remainingTokens: z.int(),
  reservedTokens: z.int(),
  resetTime: timestamp,
  updatedAt: timestamp,
};
export const quotaView = z.object({ userId: uuid, ...balance }).openapi('Quota');
export const orgQuotaView = z.object({ orgId: uuid, ...balance }).openapi('OrgQuota');

/** Tokens that an ADMIN sets: bounded, so that no sum of a pool grows beyond what can be read. */
const amount = whole(0, LARGEST_AMOUNT);

export const orgQuotaBody = z.object({ orgId: uuid, provider: providerName, totalTokens: amount }).openapi('SetOrgQuota');

const ZONE = 'must be an IANA time zone such as Europe/Berlin';
const zone = text({ max: 64, laws: [[isZone, ZONE]], says: ZONE, always: true }).openapi({ example: 'Europe/Berlin' });
// A bucket that leaks next to nothing would be full for longer than a date can say.
const MULTIPLIER = says('must be a number from 0.001 to 10,000');
const multiplier = z.number({ error: MULTIPLIER }).min(0.001, { error: MULTIPLIER }).max(10_000, { error: MULTIPLIER });
const customTerms = z.object({
  capacityMultiplier: multiplier,
  leakMultiplier: multiplier,
  allowance: amount,
  cap: amount.nullable(),
});

export const ownerParams = z.object({ ownerKind: z.enum(['users', 'orgs']), ownerId: uuid });
export const policyBody = z
  .object({ tier: z.enum(TIERS), zone: defaulted(zone, 'UTC'), custom: optional(customTerms) })
  .refine((body) => body.custom === undefined || body.tier === 'ENTERPRISE', {
    path: ['custom'],
    message: 'only ENTERPRISE has custom terms',
  })
  .openapi('SetTier');
export const policyView = z
  .object({ ownerKind: z.enum(['user', 'org']), ownerId: uuid, tier: z.enum(TIERS), zone: z.string(), custom: customTerms.nullable() })
  .openapi('Tier');

export const statusView = z
  .object({ service: z.literal('token-service'), status: z.literal('ok'), timestamp, version: z.string() })
  .openapi('TokenServiceStatus');
