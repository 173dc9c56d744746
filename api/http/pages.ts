import type { Request, Response } from 'express';

/** What a list asks its store for: one more than the page, which tells whether there is a next one. */
export const wanted = ({ limit, cursor }: { limit: number; cursor?: string | undefined }) => ({ limit: limit + 1, after: cursor ?? null });

/** A list that stays a plain array: the next page is named by the header Link. `rows` may have one more than the page. */
export function sendPage<Row>(
  req: Request,
  res: Response,
  rows: readonly Row[],
  limit: number,
  idOf: (row: Row) => string,
  show: (row: Row) => unknown,
) {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  if (rows.length > limit && last !== undefined) {
    const [path = '', query] = req.originalUrl.split('?', 2);
    const next = new URLSearchParams(query);
    next.set('cursor', idOf(last));
    res.setHeader('Link', `<${path}?${next.toString()}>; rel="next"`);
  }
  res.json(page.map(show));
}
