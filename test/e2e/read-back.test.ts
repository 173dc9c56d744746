import assert from 'node:assert/strict';
import fc from 'fast-check';
import { withSystem } from '../support/system.js';
import { call, type Answer } from './http.js';
import { People, type Person } from './people.js';

const RUNS = 25;
const KEYS = '/api/v1/auth/api-keys';

const year = fc.constantFrom('0000', '0001', '1969', '2026', '2027', '2999', '9998', '9999');
const day = fc.constantFrom('01-01', '02-28', '12-31');
const time = fc.constantFrom('00:00:00', '23:59:59', '23:59:59.999999999', '12:00');
const offset = fc.constantFrom('Z', '-12:00', '+14:00', '-23:59', '+23:59');
const instant = fc.tuple(year, day, time, offset).map(([y, d, t, o]) => `${y}-${d}T${t}${o}`);
const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('\ufdfa', 'a\u0301', '\u200b', ' x ', '\u2028'));

describe('what a write accepts', () => {
  const system = withSystem();
  const people = new People(system);
  let ada: Person;
  before(async function () {
    this.timeout(30_000);
    ada = await people.register();
  });
  const ask = (method: string, path: string, body?: unknown, token = ada.token): Promise<Answer> =>
    call(system().gateway, method, path, { token, ...(body !== undefined && { body }) });
  const answers = (answer: Answer, what: string) => assert.ok(answer.status < 300, `${what}: ${answer.status} ${answer.text}`);

  it('an API key: is listed, validated and lets its bearer in, whatever its name and its end', async () => {
    const property = fc.asyncProperty(name, fc.option(instant), async (text, expiresAt) => {
      const made = await ask('POST', KEYS, { userId: ada.userId, name: text, expiresAt });
      assert.ok(made.status < 500, made.text);
      if (made.status >= 400) return;
      const { id, rawKey } = made.body as { id: string; rawKey: string };
      answers(await ask('GET', `${KEYS}?userId=${ada.userId}`), 'list');
      answers(await call(system().auth, 'GET', `${KEYS}/validate`, { key: rawKey }), `validate ${expiresAt}`);
      answers(await call(system().gateway, 'GET', `/api/v1/tokens/purchases?userId=${ada.userId}`, { key: rawKey }), `use ${expiresAt}`);
      answers(
        await call(system().tokens, 'GET', `/api/v1/tokens/purchases?userId=${ada.userId}`, { key: rawKey }),
        `exchange ${expiresAt}`,
      );
      answers(await ask('DELETE', `${KEYS}?userId=${ada.userId}&apiKeyId=${id}`), 'remove');
    });
    await fc.assert(property, {
      numRuns: RUNS,
      endOnFailure: true,
      examples: [
        ['x', '9999-12-31T23:59:59-12:00'],
        ['x', '9999-12-31T23:59:59Z'],
      ],
    });
  });

  it('an organisation: is listed, whatever its name', async () => {
    const property = fc.asyncProperty(name, async (text) => {
      const made = await ask('POST', '/api/v1/auth/orgs', { name: text });
      assert.ok(made.status < 500, made.text);
      if (made.status < 400) answers(await ask('GET', '/api/v1/auth/orgs'), 'list');
    });
    await fc.assert(property, { numRuns: 10, endOnFailure: true });
  });

  it('a tier: leaves quota, tier and purchases readable and consumptions decided', async () => {
    const { token } = await people.admin();
    const number = fc.constantFrom(0, 1, 0.001, 10_000, 1e12, 1e12 + 1, Number.MAX_SAFE_INTEGER, -1, 1e308);
    const zone = fc.constantFrom('UTC', 'Etc/GMT+12', 'Pacific/Kiritimati', 'Asia/Kathmandu', 'utc', 'EST', 'UTC+3', 'x');
    const property = fc.asyncProperty(number, number, number, zone, async (multiplier, allowance, cap, where) => {
      const custom = { capacityMultiplier: multiplier, leakMultiplier: multiplier, allowance, cap };
      const set = () => ask('PUT', `/api/v1/tokens/tiers/users/${ada.userId}`, { tier: 'ENTERPRISE', zone: where, custom }, token);
      const made = await set();
      assert.ok(made.status < 500, made.text);
      if (made.status >= 400) return;
      answers(await set(), 'set again');
      answers(await ask('GET', `/api/v1/tokens/tiers/users/${ada.userId}`), 'tier');
      const quota = await ask('GET', `/api/v1/tokens/quota?userId=${ada.userId}&provider=openai`);
      assert.ok(quota.status === 200 || quota.status === 404, quota.text);
      const spent = await ask('POST', '/api/v1/tokens/consume', { userId: ada.userId, provider: 'openai', tokens: 1 });
      assert.ok(spent.status < 500, spent.text);
      answers(await ask('GET', `/api/v1/tokens/purchases?userId=${ada.userId}`), 'purchases');
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });
});
