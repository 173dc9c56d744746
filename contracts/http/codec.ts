import { defaulted, entries, list, text, z } from './common.js';

// The server's body limit is far below; a pattern over megabytes would be run piece by piece, so two cheap laws say the same.
const MAX_CHARACTERS = 64 * 1_048_576;
const MAX_PAYLOADS = 10_000;
const MAX_METADATA = 100;

const wholeQuads = (base64: string) => base64.length % 4 === 0;
const base64Characters = (base64: string) => !/[^A-Za-z0-9+/=]|=[^=]|={3}/.test(base64);
const BASE64 = 'must be base64';

const bytes = text({
  min: 0,
  max: MAX_CHARACTERS,
  laws: [
    [wholeQuads, BASE64],
    [base64Characters, BASE64],
  ],
}).openapi({ format: 'byte' });

/** A Temporal payload in protobuf's JSON form: bytes as base64. */
export const wirePayload = z
  .object({ metadata: defaulted(entries(text({ max: 200 }), bytes, MAX_METADATA), {}), data: defaulted(bytes, '') })
  .openapi('Payload', { example: { metadata: { encoding: 'anNvbi9wbGFpbg==' }, data: 'InRleHQi' } });

/** What Temporal's remote codec protocol sends and expects back, in the same order. The CLI leaves an empty list out. */
export const wirePayloads = z.object({ payloads: defaulted(list(wirePayload, MAX_PAYLOADS), []) }).openapi('Payloads');

export type WirePayload = z.output<typeof wirePayload>;
