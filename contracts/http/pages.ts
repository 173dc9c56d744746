import { z } from './common.js';

export const DEFAULT_PAGE = 100;
export const MAX_PAGE = 200;

/** Where a page begins, as its list wrote it. */
export const cursor = z.string().regex(/^[\w-]{1,100}$/, 'not a cursor of this list');

/** Of a list that answers a plain array: the next page is named by the header `Link`, rel="next" (RFC 8288). */
export const pageQuery = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_PAGE)
    .default(DEFAULT_PAGE)
    .openapi({ type: 'integer', minimum: 1, maximum: MAX_PAGE, default: DEFAULT_PAGE }),
  cursor: cursor.optional().openapi({ description: 'From the Link header of the page before' }),
};
