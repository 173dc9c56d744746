import type { ProviderName } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';

/**
 * Lengths of the buckets that are rolled up, finest first; each divides the next. `periodSeconds` bounds a partition of marks and
 * roll-ups, `shards` the rows that the users of one bucket are spread over: a thousand of a million users in a row at most.
 */
export const GRAINS = [
  { seconds: 60, periodSeconds: 3_600, shards: 16 },
  { seconds: 600, periodSeconds: 86_400, shards: 64 },
  { seconds: 3_600, periodSeconds: 7 * 86_400, shards: 128 },
  { seconds: 86_400, periodSeconds: 100 * 86_400, shards: 256 },
] as const;
export type Grain = (typeof GRAINS)[number];

export const SECONDS: readonly number[] = GRAINS.map(({ seconds }) => seconds);
export const MINUTE = GRAINS[0];

export function grainOf(seconds: number): Grain {
  const grain = GRAINS.find((one) => one.seconds === seconds);
  if (!grain) throw new RangeError(`no roll-up has buckets of ${seconds} s`);
  return grain;
}

/** The next finer one; null below a minute */
export const finerThan = (grain: Grain): Grain | null => GRAINS[GRAINS.indexOf(grain) - 1] ?? null;

/** An aligned span of a grain's length, of one provider. */
export interface Bucket {
  provider: ProviderName;
  grain: Grain;
  /** Milliseconds since the epoch */
  start: number;
}

export const spanOf = ({ grain, start }: Bucket): Span => ({ from: start, to: start + grain.seconds * 1_000 });

/** The partitions of marks and roll-ups that a span touches, with the part of the span that is in each. */
export function periodsOf(grain: Grain, spans: readonly Span[]): { period: number; from: number; to: number }[] {
  const found = new Map<number, { period: number; from: number; to: number }>();
  for (const span of spans) {
    for (let period = floorTo(span.from, grain.periodSeconds); period < span.to; period += grain.periodSeconds * 1_000) {
      const from = Math.max(period, floorTo(span.from, grain.seconds));
      const to = Math.min(period + grain.periodSeconds * 1_000, span.to);
      const known = found.get(period);
      found.set(period, { period, from: Math.min(from, known?.from ?? from), to: Math.max(to, known?.to ?? to) });
    }
  }
  return [...found.values()];
}

/** Adjacent and overlapping spans as one; in order. */
export function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else result.push({ ...span });
  }
  return result;
}

const DAY_MS = 86_400_000;

/**
 * How long things are kept. All that belongs to one UTC day expires together, a day after the last of it has left the reports:
 * while a bucket can be asked for, its events, marks and roll-ups are all there.
 */
export class Retention {
  constructor(
    private readonly days: number,
    private readonly clock: () => Date = () => new Date(),
  ) {}

  /** Reports begin here: whole hours that ended before the retention are not shown any more. */
  oldest(): number {
    return floorTo(this.clock().getTime() - this.days * DAY_MS, 3_600);
  }

  /** Seconds that a row about this time has to live; zero or less when it need not be stored at all. */
  ttl(time: number): number {
    const expiry = floorTo(time, 86_400) + (this.days + 2) * DAY_MS;
    return Math.ceil((expiry - this.clock().getTime()) / 1_000);
  }
}
