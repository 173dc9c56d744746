import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import fc from 'fast-check';
import { createAuthority } from '../support/certificates.js';
import { ConfigError, loadConfig } from '../../config.js';
import { payloadKeys, temporalOptions } from '../../compose/temporal.js';
import { createPayloadCodec, PayloadKeyError, PayloadTamperedError, sealedWith } from '../../temporal-config/payload-codec.js';

const keys = new Map([
  ['2025', randomBytes(32)],
  ['2026', randomBytes(32)],
]);
const old = createPayloadCodec({ keys, active: '2025' });
const current = createPayloadCodec({ keys, active: '2026' });
const payload = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const value = (of: Payload | undefined): unknown => of && defaultPayloadConverter.fromPayload(of);
const one = async (sealed: Promise<Payload[]>) => (await sealed)[0] ?? {};

describe('the payload codec', () => {
  it('gives back whatever it sealed, and nothing of it can be read in between', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ minLength: 8 }), fc.dictionary(fc.string(), fc.jsonValue()), fc.uint8Array()),
        async (given) => {
          const [plain] = [payload(given)];
          const sealed = await one(current.encode([plain]));
          assert.equal(sealedWith(sealed), '2026');
          const content = Buffer.from(plain.data ?? []);
          if (content.length >= 8) assert.ok(!Buffer.from(sealed.data ?? []).includes(content));
          assert.deepEqual(value(await one(current.decode([sealed]))), value(plain));
        },
      ),
      { numRuns: 200 },
    ));

  it('opens what an earlier key sealed, passes what was never sealed and seals nothing twice', async () => {
    const [earlier, readable] = [await one(old.encode([payload('a')])), payload('b')];
    assert.deepEqual((await current.decode([earlier, readable])).map(value), ['a', 'b']);
    assert.equal(await one(current.encode([earlier])), earlier);
  });

  it('never seals one payload into the same bytes twice', async () => {
    const sealed = await current.encode(Array.from({ length: 1_000 }, () => payload('the same')));
    assert.equal(new Set(sealed.map(({ data }) => Buffer.from(data ?? []).toString('hex'))).size, 1_000);
  });

  it('refuses a payload that was changed anywhere, cut, or sealed by another key of that id', async () => {
    const sealed = await one(current.encode([payload('to be left alone')]));
    const data = Buffer.from(sealed.data ?? []);
    const changed = [...data.keys()].map((at) => Buffer.from(data.map((byte, index) => (index === at ? byte ^ 1 : byte))));
    const cut = [0, 11, 27, 28, data.length - 1].map((length) => data.subarray(0, length));
    for (const each of [...changed, ...cut]) await assert.rejects(current.decode([{ ...sealed, data: each }]), PayloadTamperedError);
    const impostor = createPayloadCodec({ keys: new Map([['2026', randomBytes(32)]]), active: '2026' });
    await assert.rejects(impostor.decode([sealed]), /key 2026/);
  });

  it('says which key is missing, and shows no key', async () => {
    const sealed = await one(current.encode([payload('a')]));
    const without = createPayloadCodec({ keys: new Map([['2025', keys.get('2025') ?? Buffer.alloc(0)]]), active: '2025' });
    await assert.rejects(without.decode([sealed]), (error: Error) => {
      assert.ok(error instanceof PayloadKeyError);
      assert.match(error.message, /2026 is not among .*\(2025\)/);
      return [...keys.values()].every((key) => !error.message.includes(key.toString('hex')));
    });
  });
});

describe('payload keys in the configuration', () => {
  const hex = (byte: string) => byte.repeat(32);
  const read = (LEAKY_PAYLOAD_KEYS: string, LEAKY_PAYLOAD_ACTIVE_KEY?: string) =>
    payloadKeys(loadConfig({ LEAKY_PAYLOAD_KEYS, ...(LEAKY_PAYLOAD_ACTIVE_KEY !== undefined && { LEAKY_PAYLOAD_ACTIVE_KEY }) }));

  it('are none by default, one that encrypts by itself, or several of which one is named', () => {
    assert.equal(payloadKeys(loadConfig({})), null);
    assert.equal(read(`a:${hex('01')}`)?.active, 'a');
    const several = read(`a:${hex('01')}\n b:${hex('AB')},`, 'b');
    assert.deepEqual([several?.active, several?.keys.get('b')?.toString('hex')], ['b', hex('ab')]);
    assert.equal(read(`a:${hex('01')}`, 'none')?.active, null);
  });

  it('are refused with a reason that shows no key', () => {
    const cases: [string, string | undefined, RegExp][] = [
      ['a', undefined, /key number 1 is not id:64 hex digits/],
      [`a:${hex('01')},b:c0ffee`, 'a', /key number 2 is not/],
      [`a:${hex('01')},a:${hex('02')}`, 'a', /has the id a of another one/],
      [`a:${hex('01')},b:${hex('02')}`, undefined, /say which of a, b encrypts/],
      [`a:${hex('01')}`, 'b', /b is not in LEAKY_PAYLOAD_KEYS \(a\)/],
      ['', 'b', /has none/],
    ];
    for (const [text, active, reason] of cases) {
      assert.throws(
        () => read(text, active),
        (error: Error) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, reason);
          return !/c0ffee|0101|0202/.test(error.message);
        },
      );
    }
  });
});

describe('the way to the Temporal server', () => {
  const LEAKY_TEMPORAL_ADDRESS = 'temporal:7233';
  const tlsOf = (environment: NodeJS.ProcessEnv) => temporalOptions(loadConfig({ LEAKY_TEMPORAL_ADDRESS, ...environment })).tls;

  it('is encrypted when asked for, or when something is set that needs it', () => {
    const pem = createAuthority('temporal').ca;
    assert.equal(tlsOf({}), null);
    assert.deepEqual(tlsOf({ LEAKY_TEMPORAL_TLS: 'true' }), {});
    assert.deepEqual(tlsOf({ LEAKY_TEMPORAL_TLS_CA: pem }), { ca: pem });
    assert.deepEqual(tlsOf({ LEAKY_TEMPORAL_API_KEY: 'k' }), {});
    assert.equal(tlsOf({ LEAKY_TEMPORAL_API_KEY: 'k', LEAKY_TEMPORAL_TLS: 'false' }), null);
    assert.throws(() => tlsOf({ LEAKY_TEMPORAL_TLS_CERT: pem }), /LEAKY_TEMPORAL_TLS_KEY/);
    assert.throws(() => temporalOptions(loadConfig({})), /LEAKY_TEMPORAL_ADDRESS: required/);
  });
});
