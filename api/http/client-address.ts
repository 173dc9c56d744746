import type { Request } from 'express';
import { isIPv6 } from 'node:net';

/** Whose a request is by its address, as limits count it: behind trusted proxies what they say, else the peer. */
export const addressOf = (req: Request): string => networkOf(req.ip ?? 'unknown');

/** One IPv6 customer holds a /64 at least: limiting single addresses of it would limit nobody. */
export function networkOf(address: string): string {
  const ip = address.replace(/^::ffff:(?=\d+\.)/, '');
  return isIPv6(ip) ? network64(ip) : ip;
}

function network64(ip: string): string {
  const [head = '', tail] = (ip.split('%', 1)[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
