import assert from 'node:assert/strict';
import { everyMember, nameOf } from './schemas.js';

const LIBRARY = /\b(?:invalid|expected|received|nan|regex|pattern|undefined|string|too (?:small|big)|unrecognized|iso|null)\b|[<>]=?/i;
const WRONG: readonly unknown[] = [
  undefined, null, '', 'x', 'x'.repeat(1_001), '\0', '\ud800', -1, 0, 0.5, 1e21, NaN, true, [], [5], {}, { a: 5 }, 5n,
  '10000', 'ENTERPRISE', '2026-13-01', { capacityMultiplier: -1, leakMultiplier: 'x', allowance: -1, cap: 0.1 },
]; // prettier-ignore

describe('what is said about a member that is wrong', () => {
  it('is written for people and not in the words of the schema library, for every member of every operation', () => {
    for (const { operation, place } of everyMember().filter(({ path }) => path.length <= 1)) {
      for (const wrong of WRONG) {
        const { error } = operation[place]!.safeParse(wrong);
        for (const { path, message } of error?.issues ?? [])
          assert.doesNotMatch(message, LIBRARY, `${operation.path} ${place} ${path.join('.')}`);
      }
    }
    for (const member of everyMember()) {
      for (const wrong of WRONG) {
        for (const { message } of member.declared.safeParse(wrong).error?.issues ?? []) {
          assert.doesNotMatch(message, LIBRARY, `${nameOf(member)}: ${String(wrong)}`);
          assert.ok(message.length <= 200, `${nameOf(member)}: ${message}`);
        }
      }
    }
  });

  it('names what is wanted', () => {
    const messageOf = (name: string, value: unknown) =>
      everyMember()
        .find((member) => nameOf(member) === name)
        ?.declared.safeParse(value).error?.issues[0]?.message;
    for (const [name, value, says] of [
      ['POST /api/v1/tokens/consume: body.userId', undefined, 'is required'],
      ['POST /api/v1/tokens/consume: body.userId', 'ada', 'must be a UUID such as 7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11'],
      ['POST /api/v1/tokens/consume: body.tokens', 0.5, 'must be a whole number from 1 to 10,000'],
      ['POST /api/v1/tokens/consume: body.tokens', '5', 'must be a whole number from 1 to 10,000'],
      ['POST /api/v1/tokens/consume: body.provider', 'claude', 'must be one of openai, gemini, qwen'],
      ['POST /api/v1/tokens/consume: body.prompt', 'x'.repeat(200_001), 'must have at most 200,000 characters'],
      ['POST /api/v1/auth/register: body.username', 'ab', 'must be 3 to 50 letters, digits, spaces and . _ @ + - only'],
      ['POST /api/v1/auth/login: body.password', '', 'must not be empty'],
      ['POST /api/v1/auth/api-keys: body.expiresAt', '9999-12-31T23:59:59-12:00', 'must be a time from the year 1 to 9999, in UTC'],
    ] as const) {
      assert.equal(messageOf(name, value), says, name);
    }
  });
});
