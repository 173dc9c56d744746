import { z } from './common.js';

const bytes = z.base64();

/** A Temporal payload in protobuf's JSON form: bytes as base64. */
export const wirePayload = z
  .object({ metadata: z.record(z.string(), bytes).default({}), data: bytes.default('') })
  .openapi('Payload', { example: { metadata: { encoding: 'anNvbi9wbGFpbg==' }, data: 'InRleHQi' } });

/** What Temporal's remote codec protocol sends and expects back, in the same order. The CLI leaves an empty list out. */
export const wirePayloads = z.object({ payloads: z.array(wirePayload).default([]) }).openapi('Payloads');

export type WirePayload = z.output<typeof wirePayload>;
