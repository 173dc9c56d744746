import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { compactDecrypt, decodeJwt, decodeProtectedHeader, importJWK, SignJWT, type JWK } from 'jose';
import { PostgresClient } from '../../adapters/postgres/client.js';
import { eventually } from '../support/eventually.js';
import type { System } from '../support/system.js';
import type { CallOptions } from './http.js';
import { PASSWORD, type People, type Person } from './people.js';

/**
 * Who calls. `ada` owns what is asked about. She is a MEMBER of A, like `member`, whose OWNER is `owner` and which `removed` was a
 * member of, and the OWNER of B. `key` to `elsewhere` are her keys: unbound, bound to A, bound to B. `adminKey` is an ADMIN's.
 */
export const CALLERS = ['nobody', 'ada', 'other', 'member', 'owner', 'removed', 'admin', 'key', 'bound', 'elsewhere', 'adminKey'] as const;
/** Whose credentials were good once. They are nobody's. */
export const ENDED = ['expired token', 'revoked key', 'expired key', 'former ADMIN', 'disabled account', 'deleted account'] as const;
export type Kind = (typeof CALLERS)[number] | (typeof ENDED)[number];

export interface Credentials extends CallOptions {
  /** Who it would act as */
  userId: string;
}

export interface Fixture {
  credentials: Record<Kind, Credentials>;
  ada: Person;
  member: Person;
  orgA: string;
  /** A key of ada that nobody else uses */
  spareKey: string;
  /** Completed purchases and settled calls of ada, for herself and for A */
  saga: string;
  sagaOfA: string;
  consumption: string;
  consumptionOfA: string;
}

export async function prepareFixture(system: System, people: People): Promise<Fixture> {
  const admin = await people.admin();
  const newcomers = await Promise.all(Array.from({ length: 8 }, () => people.register()));
  const [ada, other, member, owner, removed, former, disabled, deleted] = newcomers as [
    Person,
    Person,
    Person,
    Person,
    Person,
    Person,
    Person,
    Person,
  ];
  const [orgA, orgB] = await Promise.all([people.org(owner, ada, member, removed), people.org(ada)]);
  const asAdmin = async (method: string, under: string) => {
    const answer = await people.call(method, `/api/v1/auth/users/${under}`, { token: admin.token });
    assert.equal(answer.status, 204, answer.text);
  };
  const [key, bound, elsewhere, adminKey, revoked, spare, expiring] = await Promise.all([
    people.key(ada),
    people.key(ada, { orgId: orgA }),
    people.key(ada, { orgId: orgB }),
    people.key(admin),
    people.key(ada),
    people.key(ada),
    people.key(ada, { expiresAt: new Date(Date.now() + 1_000).toISOString() }),
  ]);
  const [saga, sagaOfA] = await Promise.all([people.buy(ada, 1_000), people.buy(ada, 1_000, { orgId: orgA })]);
  const [spent, spentOfA] = await Promise.all([people.consume(ada, 1), people.consume(ada, 1, { orgId: orgA })]);
  assert.deepEqual([spent.status, spentOfA.status], [200, 200], spent.text + spentOfA.text);

  await asAdmin('PUT', `${former.userId}/roles/ADMIN`);
  const login = await people.call('POST', '/api/v1/auth/login', { body: { username: former.username, password: PASSWORD } });
  assert.deepEqual(login.body.roles, ['ADMIN', 'USER']);
  await Promise.all([
    asAdmin('DELETE', `${former.userId}/roles/ADMIN`),
    asAdmin('POST', `${disabled.userId}/disable`),
    asAdmin('DELETE', deleted.userId),
    people.call('DELETE', `/api/v1/auth/api-keys?userId=${ada.userId}&apiKeyId=${revoked.id}`, { token: ada.token }),
    people.call('DELETE', `/api/v1/auth/orgs/${orgA}/members?userId=${removed.userId}`, { token: owner.token }),
  ]);
  const credentials: Record<Kind, Credentials> = {
    nobody: { userId: ada.userId },
    ada: ada,
    other,
    member,
    owner,
    removed,
    admin,
    key: { userId: ada.userId, key: key.rawKey },
    bound: { userId: ada.userId, key: bound.rawKey },
    elsewhere: { userId: ada.userId, key: elsewhere.rawKey },
    adminKey: { userId: admin.userId, key: adminKey.rawKey },
    'expired token': { userId: ada.userId, token: await expiredTokenOf(system, ada) },
    'revoked key': { userId: ada.userId, key: revoked.rawKey },
    'expired key': { userId: ada.userId, key: expiring.rawKey },
    'former ADMIN': { userId: former.userId, token: login.body.token as string },
    'disabled account': disabled,
    'deleted account': deleted,
  };
  await eventually('what was ended has ended', async () => {
    const statuses = await Promise.all(
      ENDED.map(async (kind) => (await people.call('GET', '/api/v1/tokens/purchases', credentials[kind])).status),
    );
    return statuses.every((status) => status === 401);
  });
  return {
    credentials,
    ada,
    member,
    orgA,
    spareKey: spare.id,
    saga: saga['id'] as string,
    sagaOfA: sagaOfA['id'] as string,
    consumption: spent.body.consumptionId as string,
    consumptionOfA: spentOfA.body.consumptionId as string,
  };
}

/** As the system itself would have issued it two hours ago. */
async function expiredTokenOf(system: System, { token }: Person): Promise<string> {
  const { kid } = decodeProtectedHeader(token);
  const { masterKey } = JSON.parse(readFileSync(path.join(system.dataDir, 'secrets.json'), 'utf8')) as { masterKey: string };
  const database = new PostgresClient(system.postgresUrl);
  await database.connect();
  try {
    const { rows } = await database.query<{ sealed: string }>(
      'SELECT private_jwk AS sealed FROM signing_keys WHERE kid = $1 AND retired_at IS NULL',
      [kid],
    );
    const { plaintext } = await compactDecrypt(rows[0]?.sealed ?? '', Buffer.from(masterKey, 'hex'));
    const privateKey = await importJWK(JSON.parse(Buffer.from(plaintext).toString()) as JWK, 'RS256');
    const iat = Math.floor(Date.now() / 1_000) - 7_200;
    return await new SignJWT({ ...decodeJwt(token), iat, exp: iat + 3_600, jti: randomUUID() })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: kid ?? '' })
      .sign(privateKey);
  } finally {
    await database.end();
  }
}
