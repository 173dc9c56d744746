import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * `enc:v1:<key id>:<base64url of nonce, ciphertext and tag>`, AES-256-GCM. The name of the variable is authenticated with it: a
 * value moved to another variable, where it might be shown, does not decrypt.
 */
const PREFIX = 'enc:v1:';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface ConfigKey {
  id: string;
  key: Buffer;
}

export const isEncrypted = (text: string) => text.startsWith(PREFIX);

/** `id:64 hex digits`, several separated by commas or white space: the first encrypts, all decrypt. @throws Error without the key in it */
export function parseKeys(text: string): ConfigKey[] {
  const items = text.split(/[\s,]+/).filter(Boolean);
  return items.map((item, index) => {
    const [, id, hex] = /^([\w.-]{1,64}):([0-9a-fA-F]{64})$/.exec(item) ?? [];
    if (!id || !hex) throw new Error(`key number ${index + 1} is not id:64 hex digits`);
    return { id, key: Buffer.from(hex, 'hex') };
  });
}

export function encrypt(name: string, plain: string, { id, key }: ConfigKey): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name));
  const sealed = Buffer.concat([nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `${PREFIX}${id}:${sealed.toString('base64url')}`;
}

/** @throws Error saying what is missing */
export function decrypt(name: string, text: string, keys: readonly ConfigKey[]): string {
  const [id = '', encoded = ''] = text.slice(PREFIX.length).split(':');
  const key = keys.find((candidate) => candidate.id === id)?.key;
  if (!key) throw new Error(`encrypted with the key ${id}, which LEAKY_CONFIG_KEY_FILE ${keys.length > 0 ? 'lacks' : 'would name'}`);
  const sealed = Buffer.from(encoded, 'base64url');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(-TAG_BYTES));
    return decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch (error) {
    throw new Error(`does not decrypt: damaged, or encrypted for another variable or with another key ${id}`, { cause: error });
  }
}
