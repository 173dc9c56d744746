import { uuid, wholeInQuery } from './common.js';

/** Of a list that answers a plain array: its header `Link`, rel="next" (RFC 8288), leads to the next page. */
export const pageQuery = {
  limit: wholeInQuery(1, 200, 100),
  cursor: uuid.optional().openapi({ description: 'As the Link header of the page before has it' }),
};
