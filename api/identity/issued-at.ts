import { v7 } from 'uuid';

/**
 * `iat` has whole seconds, which do not tell a token made just before its user lost a role from one made just after. So `jti` is a
 * UUIDv7 (RFC 9562, 5.7), whose first 48 bits are the time in milliseconds.
 */
export const tokenIdAt = (issuedAtMs: number): string => v7({ msecs: issuedAtMs });

const V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7/i;

/** Milliseconds since the epoch, of a verified token. One whose id says no time, or another one, was issued at the start of its second. */
export function issuedAtMs({ iat = 0, jti = '' }: { iat?: number; jti?: string }): number {
  const [, high, low] = V7.exec(jti) ?? [];
  const ms = high && low ? Number.parseInt(high + low, 16) : NaN;
  return Math.floor(ms / 1_000) === iat ? ms : iat * 1_000;
}
