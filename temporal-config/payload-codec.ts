import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';

const { Payload: PayloadProto } = proto.temporal.api.common.v1;

/**
 * The form that Temporal's own samples use, so that their tools can read it: the whole payload as protobuf, sealed by AES-256-GCM;
 * data = nonce (12 bytes), ciphertext, tag (16 bytes); the metadata says that and names the key.
 */
const ENCODING = 'binary/encrypted';
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface PayloadKeys {
  /** 32 bytes each, by id */
  keys: ReadonlyMap<string, Buffer>;
  /** Id of the key that seals; null: what comes is opened, what goes stays readable */
  active: string | null;
}

/** What was sealed cannot be opened here; says which key it needs. */
export class PayloadKeyError extends Error {
  override readonly name = 'PayloadKeyError';
}

/** The data does not belong to its key: it was changed, or two keys share an id. */
export class PayloadTamperedError extends Error {
  override readonly name = 'PayloadTamperedError';
}

/**
 * Seals every payload with the active key and opens whatever it has the key of; readable payloads pass, so that encryption can be
 * switched on while workflows are open. The work is synchronous: handing some hundred bytes to another thread costs more.
 */
export function createPayloadCodec({ keys, active }: PayloadKeys): PayloadCodec {
  const sealing = active === null ? null : { id: active, key: keyOf(keys, active) };
  return {
    encode: async (payloads) => (sealing ? payloads.map((payload) => seal(payload, sealing)) : payloads),
    decode: async (payloads) => payloads.map((payload) => (sealedWith(payload) === null ? payload : open(payload, keys))),
  };
}

/** Id of the key that sealed it; null when it is readable. */
export function sealedWith({ metadata }: Payload): string | null {
  if (text(metadata?.encoding) !== ENCODING) return null;
  return text(metadata?.['encryption-key-id']);
}

function seal(payload: Payload, { id, key }: { id: string; key: Buffer }): Payload {
  if (sealedWith(payload) !== null) return payload;
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  const sealed = cipher.update(PayloadProto.encode(payload).finish());
  const rest = cipher.final();
  return {
    metadata: { encoding: bytes(ENCODING), 'encryption-cipher': bytes('AES-256-GCM'), 'encryption-key-id': bytes(id) },
    data: Buffer.concat([nonce, sealed, rest, cipher.getAuthTag()]),
  };
}

function open(payload: Payload, keys: ReadonlyMap<string, Buffer>): Payload {
  const id = sealedWith(payload) ?? '';
  const key = keyOf(keys, id);
  const data = payload.data ?? new Uint8Array();
  if (data.length < NONCE_BYTES + TAG_BYTES) throw new PayloadTamperedError(`A payload of the key ${id} is too short to be one`);
  const decipher = createDecipheriv(CIPHER, key, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(data.subarray(-TAG_BYTES));
  const opened = decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
  } catch (error) {
    throw new PayloadTamperedError(`A payload was changed after the key ${id} sealed it, or that id has another key here`, {
      cause: error,
    });
  }
  const { metadata, data: content } = PayloadProto.decode(opened);
  return { metadata, data: content };
}

function keyOf(keys: ReadonlyMap<string, Buffer>, id: string): Buffer {
  const key = keys.get(id);
  if (key) return key;
  throw new PayloadKeyError(`The payload key ${id} is not among those of LEAKY_PAYLOAD_KEYS (${[...keys.keys()].join(', ') || 'none'})`);
}

const bytes = (value: string) => new TextEncoder().encode(value);
const text = (value: Uint8Array | null | undefined) => (value ? Buffer.from(value).toString('utf8') : '');
