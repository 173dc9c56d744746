import { Resolver } from 'node:dns/promises';

const TIMEOUT_MS = 1_000;
const TRIES = 2;
/** The name exists with other records only, or not at all. */
const NONE = new Set(['ENODATA', 'ENOTFOUND']);

/** Looks instances up by name. @throws Error when that can't be done now, which says nothing of the instances */
export type LookUp = (host: string, port: number | null) => Promise<URL[]>;

/**
 * With a port: the A (else AAAA) records of the name. Without one: its SRV records, which bring the ports; of their priorities
 * the lowest number that is there counts, and weights do not: calls go where fewest are in flight.
 * @param servers `address` or `address:port`; none: those of the system
 */
export function createDnsLookUp(servers: readonly string[]): LookUp {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers.length > 0) resolver.setServers(servers);
  const urlsOf = async (host: string, port: number) => (await addresses(resolver, host)).map((address) => urlOf(address, port));
  return async (host, port) => {
    if (port !== null) return urlsOf(host, port);
    const records = await orNone(resolver.resolveSrv(host));
    const first = Math.min(...records.map((record) => record.priority));
    const chosen = records.filter((record) => record.priority === first);
    return (await Promise.all(chosen.map((record) => urlsOf(record.name, record.port)))).flat();
  };
}

async function addresses(resolver: Resolver, host: string): Promise<string[]> {
  const four = await orNone(resolver.resolve4(host));
  return four.length > 0 ? four : orNone(resolver.resolve6(host));
}

async function orNone<T>(lookup: Promise<T[]>): Promise<T[]> {
  try {
    return await lookup;
  } catch (error) {
    if (NONE.has((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

const urlOf = (address: string, port: number) => new URL(`http://${address.includes(':') ? `[${address}]` : address}:${port}`);
