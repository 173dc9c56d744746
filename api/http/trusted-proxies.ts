import { BlockList, isIPv6 } from 'node:net';
import type { TrustedProxies } from '../../config/network.js';

/** Whether the peer that many hops away, counted from this server, is believed; what express calls `trust proxy`. */
export type Trust = (address: string, hop: number) => boolean;

const NAMED: Record<string, readonly string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/**
 * At the gateway: the proxies in front of it. Behind it the gateways come first, and a number of hops counts from the gateway on;
 * whoever calls a service past the gateways is believed only as a proxy known by its address.
 */
export function trustOf(proxies: TrustedProxies, gateways: TrustedProxies | null): Trust {
  const proxy = trustIn(proxies);
  if (gateways === null) return proxy;
  const gateway = trustIn(gateways);
  if (proxies.kind === 'hops') return (address, hop) => (hop === 0 ? gateway(address, 0) : proxy(address, hop - 1));
  return (address, hop) => gateway(address, hop) || proxy(address, hop);
}

const REMEMBERED = 1_000;

/** Each request asks several times about the same few peers, and a look into the list costs more than the rest of the question. */
function remembered(trusts: (address: string) => boolean): Trust {
  const known = new Map<string, boolean>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    if (known.size >= REMEMBERED) known.clear();
    const answer = trusts(address);
    known.set(address, answer);
    return answer;
  };
}

function trustIn(trusted: TrustedProxies): Trust {
  switch (trusted.kind) {
    case 'all':
      return () => true;
    case 'hops':
      return (_address, hop) => hop < trusted.hops;
    case 'networks': {
      const list = new BlockList();
      for (const network of trusted.networks.flatMap((name) => NAMED[name] ?? [name])) {
        const [address = '', prefix] = network.split('/');
        const family = isIPv6(address) ? 'ipv6' : 'ipv4';
        list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
      }
      return remembered((address) => {
        const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').split('%', 1)[0] ?? '';
        return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
      });
    }
  }
}
