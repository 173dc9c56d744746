/** A span of time, half-open: [from, to), in milliseconds since the epoch. */
export interface Span {
  from: number;
  to: number;
}

/** A part of a span and where to count it: in the roll-ups of that grain, or (grain null) in the raw events. */
export interface Piece extends Span {
  grainSeconds: number | null;
}

/** Roll-ups exist for aligned spans of these lengths. Each divides the next, so a whole coarse bucket is whole finer ones. */
export const GRAINS_SECONDS = [60, 600, 3_600] as const;

export const COARSEST_GRAIN_SECONDS = Math.max(...GRAINS_SECONDS);

export const floorTo = (ms: number, stepSeconds: number): number => Math.floor(ms / (stepSeconds * 1_000)) * stepSeconds * 1_000;
export const ceilTo = (ms: number, stepSeconds: number): number => Math.ceil(ms / (stepSeconds * 1_000)) * stepSeconds * 1_000;

/**
 * Splits a span into pieces that are disjoint, in order and cover it exactly, each aligned to its grain and as coarse as
 * possible. With `withinSeconds`, no piece crosses a multiple of it: the buckets of a chart. `grains` rise, each divides the next.
 */
export function cover(span: Span, withinSeconds?: number, grains: readonly number[] = GRAINS_SECONDS): Piece[] {
  const usable = grains.filter((grain) => withinSeconds === undefined || withinSeconds % grain === 0);
  return split(span, [...usable].reverse());
}

function split(span: Span, grains: number[]): Piece[] {
  if (span.from >= span.to) return [];
  const [grain, ...finer] = grains;
  if (grain === undefined) return [{ ...span, grainSeconds: null }];
  const from = ceilTo(span.from, grain);
  const to = floorTo(span.to, grain);
  if (from >= to) return split(span, finer);
  return [...split({ from: span.from, to: from }, finer), { from, to, grainSeconds: grain }, ...split({ from: to, to: span.to }, finer)];
}

export interface AnomalyVerdict {
  /** Tokens of one baseline window, on average; windows without events count as 0. */
  baselineAverage: number;
  /** current / baselineAverage; null when the baseline is empty */
  ratio: number | null;
  anomaly: boolean;
}

/** A window is an anomaly when it used at least `multiplier` times what the windows before it used on average. */
export function judgeAnomaly(currentTokens: number, baselineTokens: number, baselineWindows: number, multiplier: number): AnomalyVerdict {
  const baselineAverage = baselineTokens / baselineWindows;
  if (baselineAverage === 0) return { baselineAverage, ratio: null, anomaly: false };
  const ratio = currentTokens / baselineAverage;
  return { baselineAverage, ratio, anomaly: ratio >= multiplier };
}

/** The window that ends at `end`, and all `baselineWindows` windows of the same length before it as one span. */
export function anomalySpans(end: number, windowMinutes: number, baselineWindows: number): { current: Span; baseline: Span } {
  const length = windowMinutes * 60_000;
  const start = end - length;
  return { current: { from: start, to: end }, baseline: { from: start - baselineWindows * length, to: start } };
}
