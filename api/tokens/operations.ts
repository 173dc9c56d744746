import {
  consumeAnswer,
  consumeBody,
  consumptionParams,
  consumptionView,
  idempotencyHeaders,
  orgQuotaBody,
  orgQuotaQuery,
  orgQuotaView,
  ownerParams,
  policyBody,
  policyView,
  quotaQuery,
  quotaView,
  statusView,
} from '../../contracts/http/tokens.js';
import type { Operation } from '../http/openapi.js';

const CONSUMPTION = 'Consumption';
const QUOTA = 'Quota';

/** What the token service offers besides purchases, for the OpenAPI document. */
export const operations: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/tokens/status',
    summary: 'Whether the token service is up',
    tag: QUOTA,
    public: true,
    responses: { 200: { description: 'It is', schema: statusView } },
  },
  {
    method: 'post',
    path: '/api/v1/tokens/consume',
    summary: 'Spend tokens on one provider call',
    tag: CONSUMPTION,
    body: consumeBody,
    headers: idempotencyHeaders,
    responses: {
      200: { description: 'Done and charged', schema: consumeAnswer },
      400: { description: 'The request is not valid, or not for the provider (CONTEXT_TOO_LONG, UNKNOWN_MODEL, PROVIDER_REJECTED)' },
      402: { description: 'The pool is missing or too small; nothing is charged' },
      403: { description: 'Not your user id, or not your organisation' },
      409: { description: 'The Idempotency-Key was used with another payload, or its first request is still in flight' },
      422: { description: 'The provider filtered the content, or its answer has no text or is too large; the hold is released' },
      429: { description: 'The rate bucket would overflow; waitSeconds is null when no wait will help at this tier' },
      502: { description: 'The provider failed after its retries; the hold is released. Retry-After when the provider said it' },
      503: { description: 'Provider (or our quota there), service or workflow engine cannot take the call; nothing is charged' },
      504: { description: 'The provider was too slow; the hold is released' },
    },
  },
  {
    method: 'get',
    path: '/api/v1/tokens/consume/{consumptionId}',
    summary: 'Why a consumption was let through or refused',
    tag: CONSUMPTION,
    params: consumptionParams,
    responses: {
      200: { description: 'State, charge, reasons, attempts and workflow', schema: consumptionView },
      404: { description: 'No such consumption' },
    },
  },
  {
    method: 'get',
    path: '/api/v1/tokens/quota',
    summary: "A user's balance with one provider",
    tag: QUOTA,
    query: quotaQuery,
    responses: { 200: { description: 'The balance', schema: quotaView }, 404: { description: 'No such pool' } },
  },
  {
    method: 'get',
    path: '/api/v1/tokens/quota/org',
    summary: "An organisation's balance with one provider, for its members",
    tag: QUOTA,
    query: orgQuotaQuery,
    responses: { 200: { description: 'The balance', schema: orgQuotaView }, 404: { description: 'No such pool' } },
  },
  {
    method: 'post',
    path: '/api/v1/tokens/quota/org',
    summary: "Set an organisation's total (ADMIN)",
    tag: QUOTA,
    body: orgQuotaBody,
    responses: {
      200: { description: 'Changed', schema: orgQuotaView },
      201: { description: 'The pool was opened', schema: orgQuotaView },
      409: { description: 'More is used or held than the total leaves' },
    },
  },
  {
    method: 'get',
    path: '/api/v1/tokens/tiers/{ownerKind}/{ownerId}',
    summary: 'The tier and zone of a user or organisation',
    tag: QUOTA,
    params: ownerParams,
    responses: { 200: { description: 'The tier', schema: policyView } },
  },
  {
    method: 'put',
    path: '/api/v1/tokens/tiers/{ownerKind}/{ownerId}',
    summary: 'Set the tier and zone of a user or organisation (ADMIN)',
    tag: QUOTA,
    params: ownerParams,
    body: policyBody,
    responses: { 200: { description: 'The tier', schema: policyView } },
  },
];
