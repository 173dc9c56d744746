import assert from 'node:assert/strict';
import fc from 'fast-check';
import { API_KEY_RANDOM_BYTES, formatApiKey, looksLikeApiKey, parseApiKey } from '../../domain/api-key.js';

const userId = fc.uuid();
const random = fc.uint8Array({ minLength: API_KEY_RANDOM_BYTES, maxLength: API_KEY_RANDOM_BYTES });
const key = fc.tuple(userId, random).map(([id, bytes]) => formatApiKey(id, bytes));
const replaceAt = (text: string, index: number, by: string) => text.slice(0, index) + by + text.slice(index + by.length);

describe('API key format', function () {
  this.timeout(30_000);
  it('gives back the owner it was made with', () => {
    fc.assert(
      fc.property(userId, random, (id, bytes) => {
        const text = formatApiKey(id, bytes);
        assert.match(text, /^leaky_[0-9a-f-]{36}_[0-9a-f]+$/);
        assert.ok(looksLikeApiKey(text));
        assert.deepEqual(parseApiKey(text), { userId: id });
      }),
    );
  });

  it('holds at least 128 random bits: other random bytes make another key', () => {
    assert.ok(API_KEY_RANDOM_BYTES * 8 >= 128);
    fc.assert(
      fc.property(userId, random, random, (id, a, b) => {
        assert.equal(formatApiKey(id, a) === formatApiKey(id, b), Buffer.from(a).equals(Buffer.from(b)));
      }),
    );
  });

  it('refuses every key with one wrong character', () => {
    fc.assert(
      fc.property(key, fc.nat(), fc.constantFrom(...'0123456789abcdef-_gXZ '), (text, position, by) => {
        const index = position % text.length;
        fc.pre(text[index] !== by);
        assert.equal(parseApiKey(replaceAt(text, index, by)), null);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses every key with two neighbours swapped', () => {
    fc.assert(
      fc.property(key, fc.nat(), (text, position) => {
        const index = position % (text.length - 1);
        const [a, b] = [text.charAt(index), text.charAt(index + 1)];
        fc.pre(a !== b);
        assert.equal(parseApiKey(replaceAt(text, index, b + a)), null);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses a key that was cut off, continued, or written in capitals', () => {
    fc.assert(
      fc.property(key, fc.nat(), fc.string({ minLength: 1 }), (text, length, tail) => {
        assert.equal(parseApiKey(text.slice(0, length % text.length)), null);
        assert.equal(parseApiKey(text + tail), null);
        assert.equal(parseApiKey(text.toUpperCase()), null);
      }),
    );
  });

  it('never throws for any text', () => {
    fc.assert(fc.property(fc.string(), (text) => assert.equal(parseApiKey(text), null)));
  });

  it('is not made from parts that could not be read back', () => {
    assert.throws(() => formatApiKey('not-a-uuid', new Uint8Array(API_KEY_RANDOM_BYTES)), RangeError);
    assert.throws(() => formatApiKey('7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11', new Uint8Array(4)), RangeError);
  });
});
