import type { CallOutcome } from '../../api/http/services.js';

interface Instance {
  readonly url: URL;
  inFlight: number;
  /** Calls in a row that brought no answer */
  failures: number;
  /** Out of rotation until then; milliseconds of the balancer's clock */
  awayUntil: number;
}

/** A connection that breaks may be chance; one that is refused is not. */
const BROKEN_BEFORE_EJECTION = 3;
const FIRST_EJECTION_MS = 1_000;
const LONGEST_EJECTION_MS = 30_000;

/**
 * The instances of one service: round robin, where each turn goes to the less busy one of the next two. Two are enough to keep
 * calls away from an instance that has become slow, and without load the turns are even.
 *
 *   in rotation ──(refused, or three calls broken in a row)──▶ ejected for 1 s, 2 s, 4 s … 30 s ──▶ in rotation, on trial:
 *   the next failure ejects it for longer, an answer makes it like the others.
 *
 * When all are ejected, all are tried: refusing without a try could be the only reason why nothing works.
 */
export class Balancer {
  private instances: Instance[] = [];
  private turn = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** What is known of instances that stay is kept. */
  update(urls: readonly URL[]): void {
    const known = new Map(this.instances.map((instance) => [instance.url.href, instance]));
    const wanted = new Map(urls.map((url) => [url.href, url]));
    this.instances = [...wanted].map(([href, url]) => known.get(href) ?? { url, inFlight: 0, failures: 0, awayUntil: 0 });
  }

  /** null: there is no instance besides `tried` */
  take(tried: readonly URL[] = []): URL | null {
    const candidates = tried.length === 0 ? this.instances : this.instances.filter(({ url }) => !tried.includes(url));
    const now = this.now();
    const inRotation = candidates.filter(({ awayUntil }) => awayUntil <= now);
    const choice = inRotation.length > 0 ? inRotation : candidates;
    const first = choice[this.turn % choice.length];
    if (!first) return null;
    this.turn = (this.turn + 1) % Number.MAX_SAFE_INTEGER;
    const second = choice[this.turn % choice.length] ?? first;
    const taken = second.inFlight < first.inFlight ? second : first;
    taken.inFlight += 1;
    return taken.url;
  }

  report(url: URL, outcome: CallOutcome): void {
    const instance = this.instances.find((one) => one.url === url);
    if (!instance) return;
    instance.inFlight -= 1;
    if (outcome === 'abandoned') return;
    instance.failures = outcome === 'answered' ? 0 : instance.failures + 1;
    if (outcome === 'answered') instance.awayUntil = 0;
    const strikes = outcome === 'refused' ? instance.failures : instance.failures - BROKEN_BEFORE_EJECTION + 1;
    if (instance.failures > 0 && strikes > 0) {
      instance.awayUntil = this.now() + Math.min(FIRST_EJECTION_MS * 2 ** (strikes - 1), LONGEST_EJECTION_MS);
    }
  }
}
