import { isIP, isIPv6 } from 'node:net';
import { z } from 'zod';

/** Which peers' X-Forwarded-For counts: all, so many hops counted from here, or those in these networks. */
export type TrustedProxies = { kind: 'all' } | { kind: 'hops'; hops: number } | { kind: 'networks'; networks: readonly string[] };

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal'];
const MAX_HOPS = 100;

/** What people write: `true`, `false`, a number of hops, or addresses and networks, separated by commas. */
export const trustedProxies = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context): TrustedProxies => {
      const word = text.trim().toLowerCase();
      if (word === 'true') return { kind: 'all' };
      if (word === 'false' || word === '') return { kind: 'networks', networks: [] };
      if (/^\d+$/.test(word)) {
        if (Number(word) > MAX_HOPS) context.addIssue({ code: 'custom', message: `a number of hops is ${MAX_HOPS} at most` });
        return { kind: 'hops', hops: Number(word) };
      }
      const networks = items(text);
      for (const network of networks) {
        const fault = networkFault(network);
        if (fault) context.addIssue({ code: 'custom', message: `"${network}" ${fault}` });
      }
      return { kind: 'networks', networks };
    });

function networkFault(network: string): string | null {
  if (NAMED_NETWORKS.includes(network)) return null;
  const [address = '', prefix, ...rest] = network.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0)
    return `is no address, network or one of ${NAMED_NETWORKS.join(', ')}; true and a number of hops stand alone`;
  const longest = family === 6 ? 128 : 32;
  if (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest))
    return `: the prefix of this network is 0 to ${longest}`;
  return null;
}

/** Origins as browsers send them, compared letter by letter: anything else would never match. `*` stands alone. */
export const origins = (fallback: string, { any }: { any: boolean }) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const found = items(text);
      for (const origin of found) {
        const fault = originFault(origin, any, found.length);
        if (fault) context.addIssue({ code: 'custom', message: `"${origin}" ${fault}` });
      }
      return found;
    });

function originFault(origin: string, any: boolean, count: number): string | null {
  if (origin === '*') {
    if (!any) return 'would let every page in: name the origins';
    return count > 1 ? 'stands for every origin; leave the others out' : null;
  }
  if (origin.includes('*')) return 'has a wildcard, which no browser sends: name each origin, or * alone';
  if (!URL.canParse(origin) || !/^https?:\/\//i.test(origin)) return 'is no origin: write it as https://host or http://host:port';
  const exact = new URL(origin).origin;
  return exact === origin ? null : `is never sent by a browser; write ${exact}`;
}

/** `host:port` items, as drivers want them. */
export const hostPorts = () =>
  z
    .string()
    .default('')
    .transform((text, context) => {
      const found = items(text);
      for (const item of found) {
        const fault = hostPortFault(item);
        if (fault) context.addIssue({ code: 'custom', message: fault });
      }
      return found;
    });

export const hostPort = () =>
  z.string().superRefine((text, context) => {
    const fault = hostPortFault(text);
    if (fault) context.addIssue({ code: 'custom', message: fault });
  });

function hostPortFault(text: string): string | null {
  const [, host = '', port = ''] = /^(\[[^\]]+\]|[^:/\s@]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === '') return `"${text}" is not host:port`;
  if (host.startsWith('[') && !isIPv6(host.slice(1, -1))) return `"${text}" has no IPv6 address between its brackets`;
  return Number(port) >= 1 && Number(port) <= 65_535 ? null : `"${text}" has no port from 1 to 65535`;
}

/** A base URL to which paths are added: http(s), no credentials, query or fragment; a last slash is not part of it. */
export const baseUrl = () =>
  z.string().transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    const fault = !url || !/^https?:$/.test(url.protocol) ? 'must be a URL that begins with http:// or https://' : extrasOf(url);
    if (fault) context.addIssue({ code: 'custom', message: fault });
    return text.replace(/\/+$/, '');
  });

function extrasOf(url: URL): string | null {
  if (url.username || url.password) return 'must not hold a user or password; keys have variables of their own';
  return url.search || url.hash ? 'must end with its path: paths are added to it' : null;
}

const items = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
