import { decisionOn, type BucketDecision, type BucketRule } from '../../domain/leaky-bucket.js';
import { SERVER_CLOCK } from './connection.js';

/**
 * domain/leaky-bucket.ts once more, for the server, in the same order of the same operations on the same doubles: both come to
 * the same bits, which test/redis/bucket-script.test.ts holds. A bucket is a hash of `level` and `at`.
 *
 * ARGV: strategy, capacity, leakPerSecond, windowMs, amount, ttlSeconds
 */
const PASSAGE_OF_TIME = `
local capacity, leak, window, amount = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local stored = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(stored[1]) or 0, tonumber(stored[2]) or 0
if ARGV[1] == 'FIXED_WINDOW' then
  local start = now - now % window
  if start > at then level, at = 0, start end
elseif now > at then
  level, at = math.max(0, level - ((now - at) / 1000) * leak), now
end
`;

const KEEP = `
local exact = '%.17g'
redis.call('HSET', KEYS[1], 'level', exact:format(level), 'at', exact:format(at))
redis.call('EXPIRE', KEYS[1], ARGV[6])
`;

/** `clock` sets \`now\`. Callers have no say in it: a script that takes its time from elsewhere is another script, which only tests make. */
export const bucketScripts = (clock: string = SERVER_CLOCK) => ({
  pour: `${clock}${PASSAGE_OF_TIME}
local allowed = level + amount <= capacity
if allowed then level = level + amount end
${KEEP}
return { allowed and 1 or 0, exact:format(level), exact:format(at), exact:format(now) }`,
  unpour: `${clock}${PASSAGE_OF_TIME}
if not stored[1] then return 0 end
level = math.max(0, level - amount)
${KEEP}
return 1`,
});

export const TTL_SECONDS = 6 * 3_600;

export const bucketArguments = ({ strategy, capacity, leakPerSecond, windowMs }: BucketRule, amount: number): (string | number)[] => [
  strategy,
  capacity,
  leakPerSecond,
  windowMs,
  amount,
  TTL_SECONDS,
];

export function decisionFrom(rule: BucketRule, amount: number, reply: unknown): BucketDecision {
  const [allowed, level, at, now] = (reply as (number | string)[]).map(Number) as [number, number, number, number];
  return decisionOn(rule, { level, at }, allowed === 1, amount, now);
}
