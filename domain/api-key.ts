/**
 * The text form of an API key: `leaky_{userId}_{random}{checksum}`, all lower case.
 *
 * `random` is 40 hex digits (160 bits); `checksum` is the CRC-32 (IEEE 802.3) of everything before it, 8 hex digits. The
 * checksum is no secret and proves nothing: it lets any service refuse a mistyped or cut-off key without a lookup.
 */
const FORMAT = /^leaky_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})_([0-9a-f]{40})([0-9a-f]{8})$/;

export const API_KEY_PREFIX = 'leaky_';
export const API_KEY_RANDOM_BYTES = 20;

/** Tells an API key in the bearer position from a JWT; says nothing about its validity. */
export const looksLikeApiKey = (text: string): boolean => text.startsWith(API_KEY_PREFIX);

/**
 * @param userId a UUID in lower case
 * @param random 20 bytes from a cryptographic source
 * @throws RangeError when the parts do not make a well-formed key
 */
export function formatApiKey(userId: string, random: Uint8Array): string {
  const body = `${API_KEY_PREFIX}${userId}_${hex(random)}`;
  const key = body + checksum(body);
  if (!FORMAT.test(key)) throw new RangeError('An API key needs a lower-case UUID and 20 random bytes');
  return key;
}

/** The owner named in a well-formed key, or null for a text that cannot be a key. */
export function parseApiKey(text: string): { userId: string } | null {
  const match = FORMAT.exec(text);
  if (!match || checksum(text.slice(0, -8)) !== match[3]) return null;
  return { userId: match[1] as string };
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function checksum(ascii: string): string {
  let crc = 0xffffffff;
  for (let index = 0; index < ascii.length; index++) {
    crc = (crc >>> 8) ^ (TABLE[(crc ^ ascii.charCodeAt(index)) & 0xff] as number);
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}
