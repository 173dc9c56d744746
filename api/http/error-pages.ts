import { Router } from 'express';
import { ERRORS, type ErrorCode } from '../../contracts/errors.js';
import { cacheable } from './caching.js';
import { slugOf } from './problem.js';

const CODES = Object.keys(ERRORS) as ErrorCode[];
const BY_SLUG = new Map(CODES.map((code) => [slugOf(code), code]));

/** What a caller does about a status, whatever the code. */
const ADVICE: Readonly<Record<number, string>> = {
  400: 'Change the request: `detail` says what is wrong, and `errors` names each member or parameter.',
  401: 'Send valid credentials: `Authorization: Bearer` with a token or an API key, or `X-Api-Key`.',
  402: 'Buy tokens (`upgradeUrl`), or wait for the next window (`resetAt`).',
  403: 'These credentials do not allow it; others may.',
  404: 'Look at the path and the id. What belongs to others is not told apart from what does not exist.',
  405: 'Use one of the methods in the header `Allow`.',
  409: 'The request conflicts with what is there; `detail` says with what.',
  413: 'Send a smaller body.',
  415: 'Send JSON in UTF-8, as `Content-Type: application/json`.',
  422: 'The same call will end the same again; change it.',
  429: 'Wait as many seconds as `Retry-After` says. Without this header no wait will help.',
};
const LATER = 'Try again, after the seconds of `Retry-After` where it is given. With an `Idempotency-Key` a repeat is never charged twice.';

/** A page for each code: what `type` of a problem leads to. Made from the table of errors, so none is missing. */
export function errorPages(): Router {
  const router = Router();
  router.get('/errors', (_req, res) => {
    cacheable(res, 'public, max-age=300');
    const rows = CODES.map(
      (code) => `<li><a href="/errors/${slugOf(code)}">${code}</a> (${ERRORS[code].status}): ${escaped(ERRORS[code].title)}</li>`,
    );
    res.type('html').send(page('Errors', `<ul>\n${rows.join('\n')}\n</ul>`));
  });
  router.get('/errors/:slug', (req, res, next) => {
    const code = BY_SLUG.get(req.params.slug.toLowerCase());
    if (!code) return next();
    cacheable(res, 'public, max-age=300');
    res.type('html').send(page(code, about(code)));
  });
  return router;
}

function about(code: ErrorCode): string {
  const { status, title, retryable } = ERRORS[code];
  const advice = ADVICE[status] ?? LATER;
  return `<p>${escaped(title)}.</p>
<dl>
<dt>Status</dt><dd>${status}</dd>
<dt>The same request later</dt><dd>${retryable ? 'may succeed' : 'will be refused again'}</dd>
<dt>What to do</dt><dd>${escaped(advice).replaceAll(/`([^`]+)`/g, '<code>$1</code>')}</dd>
</dl>
<p>Support needs the <code>correlationId</code> of the answer. <a href="/errors">All errors</a></p>`;
}

const page = (heading: string, content: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${heading}: Leaky Tokens</title>
<h1>${heading}</h1>
${content}
</html>
`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
