import type { RequestHandler, Response } from 'express';

const BY_CALLER = 'Authorization, X-Api-Key';

/** Answers are their caller's, tokens and raw keys among them: nobody on the way keeps one, unless its route says otherwise. */
export const privateByDefault: RequestHandler = (_req, res, next) => {
  res.setHeader('Cache-Control', 'no-store');
  const varies = res.getHeader('Vary');
  res.setHeader('Vary', varies === undefined ? BY_CALLER : `${String(varies)}, ${BY_CALLER}`);
  next();
};

/** For an answer that is the same for everybody. */
export function cacheable(res: Response, cacheControl: string): void {
  res.setHeader('Cache-Control', cacheControl);
  const others = namesIn(res.getHeader('Vary')).filter((name) => !BY_CALLER.includes(name));
  if (others.length > 0) res.setHeader('Vary', others.join(', '));
  else res.removeHeader('Vary');
}

const namesIn = (value: unknown): string[] => (value === undefined ? [] : String(value).split(/\s*,\s*/));

/** Of a forwarded answer: what the service says, and Origin when the edge that answers the caller looks at it. */
export function withOriginOf(res: { getHeader(name: string): unknown }, varies: string | undefined): string | undefined {
  const names = namesIn(varies);
  if (!namesIn(res.getHeader('Vary')).includes('Origin') || names.includes('Origin')) return varies;
  return ['Origin', ...names].join(', ');
}
