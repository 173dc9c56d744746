import { CALLERS, type Credentials, type Fixture } from './matrix-callers.js';

export interface Request {
  /** Path parameters */
  params?: Record<string, string>;
  query?: Record<string, string | number>;
  body?: unknown;
}

export interface Row {
  /** As the OpenAPI document names it */
  operation: string;
  /** Which of the requests that an operation takes */
  about: string;
  ask: (fixture: Fixture, caller: Credentials) => Request;
  /** Status for each of CALLERS */
  expected: readonly number[];
}

const NOBODY = '00000000-0000-4000-8000-000000000000';
const EVERYBODY = (status: number) => CALLERS.map(() => status).join(' ');

// Who may is shown by a status behind the check: 2xx, or what is wrong with the request or the thing itself (400, 402, 404, 409).
// An ADMIN may through its login only, so that `adminKey` is never more than the key of a stranger.
//                   nobody ada other member owner removed admin  key bound elsewhere adminKey
const ADMIN = (admin: number) => `401 403 403 403 403 403 ${admin} 403 403 403 403`;
const MANAGED = (owner: number) => `401 403 403 403 ${owner} 403 ${owner} 403 403 403 403`;
const LOGIN = (status: number) => `401 ${`${status} `.repeat(6)} 403 403 403 403`;
const OF_ADA = '             401 200 403 403 403 403 200  200 403 403 403';
const SEEN_OF_ADA = '        401 200 404 404 404 404 200  200 404 404 404';
const OF_MEMBERS = '         401 200 403 200 200 403 200  200 200 403 403';
const SEEN_BY_OWNER = '      401 200 404 404 200 404 200  200 200 404 404';
const ANY_CALLER = '         401 200 200 200 200 200 200  200 200 200 200';

const now = () => new Date().toISOString();
const hourAgo = () => new Date(Date.now() - 3_600_000).toISOString();
const openai = { provider: 'openai' };

const row = (operation: string, about: string, expected: string, ask: Row['ask'] = () => ({})): Row => ({
  operation,
  about,
  ask,
  expected: expected.trim().split(/\s+/).map(Number),
});

/** Every operation of every service by who calls. A route that is not here fails the test. */
export const ROWS: readonly Row[] = [
  row('POST /api/v1/auth/register', 'nothing', EVERYBODY(400), () => ({ body: {} })),
  row('POST /api/v1/auth/login', 'nothing', EVERYBODY(400), () => ({ body: {} })),
  row('POST /api/v1/auth/api-keys', 'for ada', '401 201 403 403 403 403 201  403 403 403 403', ({ ada }) => ({
    body: { userId: ada.userId, name: 'matrix' },
  })),
  row('GET /api/v1/auth/api-keys', 'of ada', OF_ADA, ({ ada }) => ({ query: { userId: ada.userId } })),
  row('DELETE /api/v1/auth/api-keys', 'of ada', '401 404 403 403 403 403 404  403 403 403 403', ({ ada }) => ({
    query: { userId: ada.userId, apiKeyId: NOBODY },
  })),
  row('POST /api/v1/auth/api-keys/{id}/rotate', 'of ada', '401 200 404 404 404 404 200  403 403 403 403', ({ spareKey }) => ({
    params: { id: spareKey },
    body: { graceSeconds: 0 },
  })),
  row('GET /api/v1/auth/api-keys/validate', 'the key sent', '401 401 401 401 401 401 401  200 200 200 200'),
  row('POST /api/v1/auth/api-keys/exchange', 'the key sent', '401 401 401 401 401 401 401  200 200 200 200'),
  row('POST /api/v1/auth/orgs', 'a new one', '401 201 201 201 201 201 201  403 403 403 403', () => ({ body: { name: 'Matrix' } })),
  row('GET /api/v1/auth/orgs', 'of the caller', ANY_CALLER),
  row('GET /api/v1/auth/orgs/{orgId}/members', 'of A', OF_MEMBERS, ({ orgA }) => ({ params: { orgId: orgA } })),
  row('POST /api/v1/auth/orgs/{orgId}/members', 'a role in A', '401 403 403 403 200 403 200  403 403 403 403', ({ orgA, member }) => ({
    params: { orgId: orgA },
    body: { userId: member.userId, role: 'MEMBER' },
  })),
  row('DELETE /api/v1/auth/orgs/{orgId}/members', 'of A', '401 403 403 403 404 403 404  403 403 403 403', ({ orgA }) => ({
    params: { orgId: orgA },
    query: { userId: NOBODY },
  })),
  row('DELETE /api/v1/auth/orgs/{orgId}', 'A, which owns tokens', MANAGED(409), ({ orgA }) => ({ params: { orgId: orgA } })),
  row('POST /api/v1/auth/orgs/{orgId}/invitations', 'a member of A', MANAGED(409), ({ orgA, member }) => ({
    params: { orgId: orgA },
    body: { userId: member.userId },
  })),
  row('GET /api/v1/auth/orgs/{orgId}/invitations', 'of A', MANAGED(200), ({ orgA }) => ({ params: { orgId: orgA } })),
  row('DELETE /api/v1/auth/orgs/{orgId}/invitations/{id}', 'none of A', MANAGED(404), ({ orgA }) => ({
    params: { orgId: orgA, id: NOBODY },
  })),
  row('GET /api/v1/auth/invitations', 'of the caller', '401 200 200 200 200 200 200  200 403 403 200'),
  row('POST /api/v1/auth/invitations/{ref}/accept', 'none', LOGIN(404), () => ({ params: { ref: NOBODY } })),
  row('POST /api/v1/auth/invitations/{ref}/decline', 'none', LOGIN(404), () => ({ params: { ref: NOBODY } })),
  row('GET /api/v1/auth/users/{userId}', 'ada', OF_ADA, ({ ada }) => ({ params: { userId: ada.userId } })),
  row('DELETE /api/v1/auth/users/{userId}', 'anybody', ADMIN(404), () => ({ params: { userId: NOBODY } })),
  row('POST /api/v1/auth/users/{userId}/disable', 'anybody', ADMIN(404), () => ({ params: { userId: NOBODY } })),
  row('POST /api/v1/auth/users/{userId}/enable', 'anybody', ADMIN(404), () => ({ params: { userId: NOBODY } })),
  row('PUT /api/v1/auth/users/{userId}/roles/{role}', 'anybody', ADMIN(404), () => ({ params: { userId: NOBODY, role: 'ADMIN' } })),
  row('DELETE /api/v1/auth/users/{userId}/roles/{role}', 'anybody', ADMIN(404), () => ({ params: { userId: NOBODY, role: 'ADMIN' } })),
  row('GET /oauth2/jwks', 'the keys', EVERYBODY(200)),
  row('POST /api/v1/auth/signing-keys/rotate', 'the key', ADMIN(200)),
  row('GET /api/v1/auth/admin-log', 'all of it', ADMIN(200)),

  row('GET /api/v1/tokens/status', 'of the service', EVERYBODY(200)),
  row('GET /api/v1/tokens/prices', 'of all', EVERYBODY(200)),
  // Through a key that is bound to B she would spend the pool of B, which is empty.
  row('POST /api/v1/tokens/consume', 'as ada', '401 200 403 403 403 403 200  200 200 402 403', ({ ada }) => ({
    body: { userId: ada.userId, ...openai, tokens: 1 },
  })),
  row('POST /api/v1/tokens/consume', 'the pool of A', OF_MEMBERS, ({ orgA }, { userId }) => ({
    body: { userId, orgId: orgA, ...openai, tokens: 1 },
  })),
  row('GET /api/v1/tokens/consume/{consumptionId}', 'of ada', SEEN_OF_ADA, ({ consumption }) => ({
    params: { consumptionId: consumption },
  })),
  row('GET /api/v1/tokens/consume/{consumptionId}', 'of ada for A', SEEN_BY_OWNER, ({ consumptionOfA }) => ({
    params: { consumptionId: consumptionOfA },
  })),
  row('GET /api/v1/tokens/quota', 'of ada', OF_ADA, ({ ada }) => ({ query: { userId: ada.userId, ...openai } })),
  row('GET /api/v1/tokens/quota/org', 'of A', OF_MEMBERS, ({ orgA }) => ({ query: { orgId: orgA, ...openai } })),
  row('GET /api/v1/tokens/quota/org', 'of its own', '401 400 400 400 400 400 400  400 200 404 400', () => ({ query: openai })),
  row('POST /api/v1/tokens/quota/org', 'of A', ADMIN(200), ({ orgA }) => ({ body: { orgId: orgA, ...openai, totalTokens: 100_000 } })),
  row('GET /api/v1/tokens/tiers/{ownerKind}/{ownerId}', 'of ada', OF_ADA, ({ ada }) => ({
    params: { ownerKind: 'users', ownerId: ada.userId },
  })),
  row('GET /api/v1/tokens/tiers/{ownerKind}/{ownerId}', 'of A', OF_MEMBERS, ({ orgA }) => ({
    params: { ownerKind: 'orgs', ownerId: orgA },
  })),
  row('PUT /api/v1/tokens/tiers/{ownerKind}/{ownerId}', 'of ada', ADMIN(200), ({ ada }) => ({
    params: { ownerKind: 'users', ownerId: ada.userId },
    body: { tier: 'STANDARD' },
  })),
  row('POST /api/v1/tokens/purchase', 'as ada', '401 202 403 403 403 403 202  202 202 202 403', ({ ada }) => ({
    body: { userId: ada.userId, ...openai, tokens: 1_000 },
  })),
  row('POST /api/v1/tokens/purchase', 'for A', '401 202 403 202 202 403 202  202 202 403 403', ({ orgA }, { userId }) => ({
    body: { userId, orgId: orgA, ...openai, tokens: 1_000 },
  })),
  row('GET /api/v1/tokens/purchase/{sagaId}', 'of ada', SEEN_OF_ADA, ({ saga }) => ({ params: { sagaId: saga } })),
  row('GET /api/v1/tokens/purchase/{sagaId}', 'of ada for A', SEEN_BY_OWNER, ({ sagaOfA }) => ({ params: { sagaId: sagaOfA } })),
  row('GET /api/v1/tokens/purchases', 'of the caller', ANY_CALLER),
  // Through a bound key: those of hers that were for that organisation.
  row('GET /api/v1/tokens/purchases', 'of ada', '401 200 403 403 403 403 200  200 200 200 403', ({ ada }) => ({
    query: { userId: ada.userId },
  })),
  row('GET /api/v1/tokens/purchases', 'of A', '401 403 403 403 200 403 200  403 403 403 403', ({ orgA }) => ({ query: { orgId: orgA } })),
  row('POST /api/v1/tokens/purchase/{sagaId}/cancel', 'of ada', '401 409 404 404 404 404 409  409 404 404 404', ({ saga }) => ({
    params: { sagaId: saga },
  })),
  row('POST /api/v1/tokens/purchase/{sagaId}/cancel', 'of ada for A', '401 409 404 404 403 404 409  409 409 404 404', ({ sagaOfA }) => ({
    params: { sagaId: sagaOfA },
  })),
  row('POST /api/v1/tokens/purchase/{sagaId}/approve', 'of ada', ADMIN(409), ({ saga }) => ({ params: { sagaId: saga } })),
  row('POST /api/v1/tokens/purchase/{sagaId}/retry', 'of ada', ADMIN(409), ({ saga }) => ({ params: { sagaId: saga } })),

  row('GET /api/v1/analytics/health', 'of the service', EVERYBODY(200)),
  row('GET /api/v1/analytics/usage', 'what the caller sees', ANY_CALLER, () => ({ query: openai })),
  row('GET /api/v1/analytics/report', 'what the caller sees', ANY_CALLER, () => ({ query: openai })),
  row('GET /api/v1/analytics/anomalies', 'what the caller sees', ANY_CALLER, () => ({ query: openai })),
  row('GET /api/v1/analytics/timeseries', 'of ada', '401 200 403 403 403 403 200  200 200 200 403', ({ ada }) => ({
    query: { userId: ada.userId, from: hourAgo(), to: now(), step: '5m' },
  })),
  row('GET /api/v1/analytics/timeseries', 'of A', OF_MEMBERS, ({ orgA }) => ({
    query: { orgId: orgA, from: hourAgo(), to: now(), step: '5m' },
  })),

  row('GET /fallback/{service}', 'of tokens', EVERYBODY(503), () => ({ params: { service: 'tokens' } })),

  row('GET /sign-in', 'the page', EVERYBODY(200)),
  row('GET /sign-in.js', 'its script', EVERYBODY(200)),
  row('POST /session', 'a cookie', ADMIN(204)),
  row('POST /decode', 'payloads', ADMIN(200), () => ({ body: { payloads: [] } })),
  row('POST /encode', 'payloads', ADMIN(200), () => ({ body: { payloads: [] } })),
];
