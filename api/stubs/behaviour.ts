import { LRUCache } from 'lru-cache';
import { z } from 'zod';

/**
 * What a stub does with a call. Settings come from PUT /control and hold for all calls; markers in the prompt hold for that call
 * and win: `[stub:slow=800]`, `[stub:fail]`, `[stub:fail=2]` (only the first two attempts of that consumption), `[stub:hang]`, …
 */
export const MODES = ['ok', 'fail', 'status', 'hang', 'cut', 'nonsense', 'refuse'] as const;
export type Mode = (typeof MODES)[number];
export const NONSENSE = ['html', 'json', 'empty', 'missing', 'no-usage', 'negative-usage', 'huge-usage', 'huge'] as const;
export type Nonsense = (typeof NONSENSE)[number];
/** What providers decline for good: a prompt too long, a model that is not there, an account without quota, a filtered prompt or answer, tool calls only */
export const REFUSALS = ['context', 'model', 'quota', 'prompt', 'answer', 'tools'] as const;
export type Refusal = (typeof REFUSALS)[number];

const DURATION_LIMIT_MS = 600_000;
export const controlSchema = z.object({
  latencyMs: z.int().min(0).max(DURATION_LIMIT_MS).optional(),
  mode: z.enum(MODES).optional(),
  nonsense: z.enum(NONSENSE).optional(),
  refusal: z.enum(REFUSALS).optional(),
  status: z.int().min(400).max(599).optional(),
  retryAfterSeconds: z.int().min(0).max(3600).nullable().optional(),
  failRate: z.number().min(0).max(1).optional(),
  chunkDelayMs: z.int().min(0).max(60_000).optional(),
});
type Changes = z.output<typeof controlSchema>;
export type Settings = { [K in keyof Changes]-?: Exclude<Changes[K], undefined> };

export interface Plan {
  mode: Mode;
  latencyMs: number;
  chunkDelayMs: number;
  status: number;
  retryAfterSeconds: number | null;
  nonsense: Nonsense;
  refusal: Refusal;
  /** Total tokens to report instead of the count */
  usage: number | null;
}

/** Consumptions remembered for attempt counts; a load test makes more, so the oldest are forgotten. */
const REMEMBERED = 100_000;
const MARKER = /\[stub:([a-z-]+)(?:=([\w.-]+))?\]/g;
const TIMES_LIMIT = 1_000_000;

/** The prompt without its markers: what the answer is made from. */
export const withoutMarkers = (prompt: string): string => (prompt.includes('[stub:') ? prompt.replace(MARKER, '').trim() : prompt);

export class Behaviour {
  private settings: Settings;
  private readonly attempts = new LRUCache<string, number>({ max: REMEMBERED });
  private total = 0;
  private distinct = 0;
  private inFlight = 0;
  private maxInFlight = 0;
  private byMode = emptyCounts();
  private failShare = 0;

  constructor(private readonly defaultLatencyMs: number) {
    this.settings = defaults(defaultLatencyMs);
  }

  /** `mode` left 'ok' with a failRate means: that share of the calls fails with status 500. */
  configure(changes: Changes): void {
    const { mode, failRate } = changes;
    this.settings = { ...this.settings, ...(definedOf(changes) as Partial<Settings>) };
    if (mode === undefined && failRate !== undefined && failRate > 0 && this.settings.mode === 'ok') this.settings.mode = 'fail';
    if (mode !== undefined && mode !== 'ok' && failRate === undefined) this.settings.failRate = 1;
    this.failShare = 0;
  }

  reset(): void {
    this.settings = defaults(this.defaultLatencyMs);
    this.attempts.clear();
    this.total = this.distinct = this.maxInFlight = this.failShare = 0;
    this.byMode = emptyCounts();
  }

  snapshot(consumptionId?: string) {
    return {
      settings: this.settings,
      calls: {
        total: this.total,
        byMode: this.byMode,
        distinctConsumptions: this.distinct,
        inFlight: this.inFlight,
        maxInFlight: this.maxInFlight,
      },
      ...(consumptionId !== undefined && { consumption: { id: consumptionId, attempts: this.attempts.get(consumptionId) ?? 0 } }),
    };
  }

  /** Counts the call and decides its fate. `key` names the consumption: its Idempotency-Key, else the prompt. */
  begin(key: string, prompt: string): Plan {
    this.total += 1;
    this.maxInFlight = Math.max(this.maxInFlight, (this.inFlight += 1));
    const attempt = (this.attempts.get(key) ?? 0) + 1;
    if (attempt === 1) this.distinct += 1;
    this.attempts.set(key, attempt);
    const { latencyMs, chunkDelayMs, status, retryAfterSeconds, nonsense, refusal } = this.settings;
    const plan: Plan = { mode: this.defaultMode(), latencyMs, chunkDelayMs, status, retryAfterSeconds, nonsense, refusal, usage: null };
    if (prompt.includes('[stub:')) applyMarkers(plan, prompt, attempt);
    this.byMode[plan.mode] += 1;
    return plan;
  }

  end(): void {
    this.inFlight -= 1;
  }

  /** Not by chance: of any N calls in a row, N × failRate misbehave (rounded), so that tests are exact. */
  private defaultMode(): Mode {
    if (this.settings.mode === 'ok') return 'ok';
    this.failShare += this.settings.failRate;
    if (this.failShare < 1 - 1e-9) return 'ok';
    this.failShare -= 1;
    return this.settings.mode;
  }
}

function applyMarkers(plan: Plan, prompt: string, attempt: number): void {
  const before = plan.mode;
  let times = TIMES_LIMIT;
  for (const [, name, value] of prompt.matchAll(MARKER)) {
    const number = value === undefined ? Number.NaN : Number(value);
    if (name === 'slow') plan.latencyMs = Math.min(number || 0, DURATION_LIMIT_MS);
    else if (name === 'chunk-delay') plan.chunkDelayMs = Math.min(number || 0, DURATION_LIMIT_MS);
    else if (name === 'retry-after') plan.retryAfterSeconds = number || 0;
    else if (name === 'usage') plan.usage = Number.isNaN(number) ? null : number;
    else if (name === 'times') times = number || TIMES_LIMIT;
    else if (name === 'fail' || name === 'hang' || name === 'cut') {
      plan.mode = name;
      times = number || times;
    } else if (name === 'status') {
      plan.mode = 'status';
      plan.status = number >= 400 && number <= 599 ? number : 500;
    } else if (name === 'nonsense') {
      plan.mode = 'nonsense';
      plan.nonsense = NONSENSE.find((kind) => kind === value) ?? 'html';
    } else if (name === 'refuse') {
      plan.mode = 'refuse';
      plan.refusal = REFUSALS.find((kind) => kind === value) ?? 'answer';
    } else if (name === 'ok') plan.mode = 'ok';
  }
  if (attempt > times) plan.mode = before;
}

function defaults(latencyMs: number): Settings {
  return { latencyMs, mode: 'ok', nonsense: 'html', refusal: 'answer', status: 500, retryAfterSeconds: null, failRate: 1, chunkDelayMs: 0 };
}

const emptyCounts = () => Object.fromEntries(MODES.map((mode) => [mode, 0])) as Record<Mode, number>;
const definedOf = (value: object) => Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
