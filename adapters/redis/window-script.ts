import { decisionOn, type WindowDecision, type WindowPolicy } from '../../domain/sliding-window.js';
import { SERVER_CLOCK } from './connection.js';

/**
 * domain/sliding-window.ts once more, for the server. A window is a list of the times of its admissions in order; what has left
 * it is dropped from the head, so a key costs no more than its limit.
 *
 * ARGV: limit, windowMs, amount to count: 1 (hit) or 0 (peek)
 */
export const windowScript = (clock: string = SERVER_CLOCK) => `${clock}
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local latest = tonumber(redis.call('LINDEX', KEYS[1], -1))
if latest and latest > now then now = latest end
local oldest = tonumber(redis.call('LINDEX', KEYS[1], 0))
while oldest and now - oldest >= window do
  redis.call('LPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], 0))
end
local used = redis.call('LLEN', KEYS[1])
local allowed = used < limit
if allowed and ARGV[3] == '1' then
  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], window)
  used = used + 1
  oldest = oldest or now
end
return { allowed and 1 or 0, used, string.format('%.0f', now), oldest and string.format('%.0f', oldest) or false }`;

export const windowArguments = ({ limit, windowMs }: WindowPolicy, count: boolean): number[] => [limit, windowMs, count ? 1 : 0];

/** Deciding takes the clock of the server; `localNow`, when given, is what it shows here, and the reset is told in that clock. */
export function decisionFrom(policy: WindowPolicy, reply: unknown, localNow?: number): WindowDecision {
  const [allowed, used, now, oldest] = reply as [number, number, string, string | null];
  const decision = decisionOn(policy, allowed === 1, used, oldest === null ? null : Number(oldest), Number(now));
  return localNow === undefined ? decision : { ...decision, resetAtMs: decision.resetAtMs + localNow - Number(now) };
}
