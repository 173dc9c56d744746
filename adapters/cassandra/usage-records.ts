import { stringify, parse } from 'uuid';
import type { Grain } from './usage-buckets.js';

/** Stands for "no organisation", as a column of a key can't be null, and for the scope of all. */
export const NIL = '00000000-0000-0000-0000-000000000000';

/** A user's id as 16 characters, one for each byte: as quick to read from a packed row as to look up, and in the order of the ids. */
export type UserKey = string;
export const userKey = (id: string): UserKey => Buffer.from(parse(id)).toString('latin1');
export const userId = (key: UserKey): string => stringify(Buffer.from(key, 'latin1'));

/** By the last byte, which is random in every kind of UUID that is in use. */
export const shardOf = (grain: Grain, user: UserKey): number => user.charCodeAt(15) % grain.shards;

export interface Counts {
  events: number;
  allowedEvents: number;
  /** Charged tokens: of allowed events only */
  tokens: number;
}

const RECORD_BYTES = 32;

/** The layout is described with the table, in migrations/0001_usage.cql. */
export function pack(users: ReadonlyMap<UserKey, Counts>): Buffer {
  const packed = Buffer.allocUnsafe(users.size * RECORD_BYTES);
  let at = 0;
  for (const [user, { events, allowedEvents, tokens }] of [...users].sort(([a], [b]) => (a < b ? -1 : 1))) {
    packed.write(user, at, 'latin1');
    packed.writeUInt32BE(events, at + 16);
    packed.writeUInt32BE(allowedEvents, at + 20);
    packed.writeDoubleBE(tokens, at + 24);
    at += RECORD_BYTES;
  }
  return packed;
}

export function unpack(packed: Buffer, visit: (user: UserKey, events: number, allowedEvents: number, tokens: number) => void): void {
  for (let at = 0; at < packed.length; at += RECORD_BYTES) {
    visit(packed.toString('latin1', at, at + 16), packed.readUInt32BE(at + 16), packed.readUInt32BE(at + 20), packed.readDoubleBE(at + 24));
  }
}

/** Counts of one bucket by organisation (null: none), tag and user. */
export class Tally {
  readonly total: Counts = { events: 0, allowedEvents: 0, tokens: 0 };
  readonly groups = new Map<string, { orgId: string | null; tag: string | null; users: Map<UserKey, Counts> }>();

  add(user: UserKey, orgId: string | null, tag: string | null, counts: Counts): void {
    // An empty tag can't be asked for, so it may be kept as none.
    const key = `${orgId ?? ''} ${tag ?? ''}`;
    let group = this.groups.get(key);
    if (!group) this.groups.set(key, (group = { orgId, tag: tag === '' ? null : tag, users: new Map() }));
    const known = group.users.get(user);
    if (known) increase(known, counts);
    else group.users.set(user, { ...counts });
    increase(this.total, counts);
  }
}

export function increase(sum: Counts, { events, allowedEvents, tokens }: Counts): void {
  sum.events += events;
  sum.allowedEvents += allowedEvents;
  sum.tokens += tokens;
}
