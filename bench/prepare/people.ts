import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import type { Database } from '../../adapters/postgres/pool.js';
import type { PoolKey } from '../../contracts/temporal.js';
import type { Target } from '../target.js';

export interface Person {
  userId: string;
  username: string;
  token: string;
  apiKey: string;
}

/** Of everyone who measures; not worth guessing */
export const PASSWORD = 'bench-password';
/** Enough for any run; a purchase on top must stay a safe integer */
const TOKENS_EACH = 1_000_000_000;

/** Accounts with a token and an API key each, made through the API, and pools of openai and gemini tokens each. */
export async function registerPeople(target: Target, database: Database, count: number): Promise<Person[]> {
  const run = randomBytes(4).toString('hex');
  const people: Person[] = [];
  for (let number = 0; number < count; number++) {
    const username = `bench-${run}-${number}`;
    const account = { username, email: `${username}@example.com`, password: PASSWORD };
    const { userId, token } = await post<{ userId: string; token: string }>(`${target.auth}/api/v1/auth/register`, account);
    const { rawKey } = await post<{ rawKey: string }>(`${target.auth}/api/v1/auth/api-keys`, { userId, name: 'bench' }, token);
    people.push({ userId, username, token, apiKey: rawKey });
    await fill(database, { ownerKind: 'user', ownerId: userId, provider: 'openai' });
    await fill(database, { ownerKind: 'user', ownerId: userId, provider: 'gemini' });
  }
  return people;
}

/** An organisation that all of them are members of, with one pool. @returns its id */
export async function foundOrganisation(database: Database, people: readonly Person[]): Promise<string> {
  const orgId = v7();
  const members = people.map((person) => person.userId);
  await database.query(`INSERT INTO orgs (id, name, created_by) VALUES ($1, 'bench', $2)`, [orgId, members[0]]);
  await database.query(`INSERT INTO org_members (org_id, user_id, role) SELECT $1, unnest($2::uuid[]), 'MEMBER'`, [orgId, members]);
  await fill(database, { ownerKind: 'org', ownerId: orgId, provider: 'openai' });
  return orgId;
}

/** The way a purchase fills a pool, without the payment. */
async function fill(database: Database, pool: PoolKey): Promise<void> {
  const ledger = createPurchaseLedger(database);
  const sagaId = v7();
  const outcome = await ledger.allocate(sagaId, pool, TOKENS_EACH);
  if (!outcome.ok) throw new Error(`a pool could not be filled: ${outcome.reason}`);
  await ledger.post(sagaId);
}

export async function post<T>(url: string, body: object, token?: string): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
