import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import type { System } from '../support/system.js';
import { call, type Answer, type CallOptions } from './http.js';

export const PASSWORD = 'correct horse battery';

export interface Person {
  userId: string;
  username: string;
  token: string;
}

/** Actions of the people in the tests, through the gateway unless `base` says otherwise. */
export class People {
  private adminLogin: Promise<Person> | undefined;
  constructor(private readonly system: () => System) {}

  call(method: string, path: string, options?: CallOptions, base = this.system().gateway): Promise<Answer> {
    return call(base, method, path, options);
  }

  async register(): Promise<Person> {
    const username = `user-${randomBytes(6).toString('hex')}`;
    const body = { username, email: `${username}@example.com`, password: PASSWORD };
    const answer = await this.call('POST', '/api/v1/auth/register', { body });
    assert.equal(answer.status, 201, answer.text);
    return answer.body as Person;
  }

  admin(): Promise<Person> {
    return (this.adminLogin ??= this.call('POST', '/api/v1/auth/login', { body: this.system().admin }).then((answer) => {
      assert.equal(answer.status, 200, answer.text);
      return answer.body as Person;
    }));
  }

  async key(owner: Person, extra: object = {}, as: Person = owner): Promise<{ id: string; rawKey: string }> {
    const body = { userId: owner.userId, name: 'test', ...extra };
    const answer = await this.call('POST', '/api/v1/auth/api-keys', { token: as.token, body });
    assert.equal(answer.status, 201, answer.text);
    return answer.body as { id: string; rawKey: string };
  }

  async org(owner: Person, ...members: Person[]): Promise<string> {
    const answer = await this.call('POST', '/api/v1/auth/orgs', { token: owner.token, body: { name: 'Analytical Engines' } });
    assert.equal(answer.status, 201, answer.text);
    for (const { userId, token } of members) {
      const invited = await this.call('POST', `/api/v1/auth/orgs/${answer.body.orgId}/members`, { token: owner.token, body: { userId } });
      assert.equal(invited.status, 202, invited.text);
      const accepted = await this.call('POST', `/api/v1/auth/invitations/${invited.body.id}/accept`, { token });
      assert.equal(accepted.status, 200, accepted.text);
    }
    return answer.body.orgId as string;
  }

  async setTier(kind: 'users' | 'orgs', id: string, body: object): Promise<void> {
    const { token } = await this.admin();
    const answer = await this.call('PUT', `/api/v1/tokens/tiers/${kind}/${id}`, { token, body });
    assert.equal(answer.status, 200, answer.text);
  }

  /** Buys and waits for the end; answers the saga. */
  async buy(person: Person, tokens: number, extra: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const body = { userId: person.userId, provider: 'openai', tokens, ...extra };
    const answer = await this.call('POST', '/api/v1/tokens/purchase', { token: person.token, body });
    assert.equal(answer.status, 202, answer.text);
    return this.ended(person, answer.body.sagaId);
  }

  async ended(person: Person, sagaId: string, ms = 15_000): Promise<Record<string, unknown>> {
    let saga: Record<string, unknown> = {};
    await eventually(
      `the end of purchase ${sagaId}`,
      async () => {
        const answer = await this.call('GET', `/api/v1/tokens/purchase/${sagaId}`, { token: person.token });
        assert.equal(answer.status, 200, answer.text);
        saga = answer.body as Record<string, unknown>;
        return saga['status'] === 'COMPLETED' || saga['status'] === 'FAILED';
      },
      ms,
    );
    return saga;
  }

  consume(person: Person, tokens: number, extra: Record<string, unknown> = {}, options: CallOptions = {}): Promise<Answer> {
    const body = { userId: person.userId, provider: 'openai', tokens, prompt: `hello ${randomUUID()}`, ...extra };
    return this.call('POST', '/api/v1/tokens/consume', { token: person.token, body, ...options });
  }

  async quota(person: Person, provider = 'openai'): Promise<{ totalTokens: number; remainingTokens: number; reservedTokens: number }> {
    const answer = await this.call('GET', `/api/v1/tokens/quota?userId=${person.userId}&provider=${provider}`, { token: person.token });
    assert.equal(answer.status, 200, answer.text);
    return answer.body as { totalTokens: number; remainingTokens: number; reservedTokens: number };
  }
}
