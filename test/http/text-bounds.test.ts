import assert from 'node:assert/strict';
import type { z } from '../../contracts/http/common.js';
import { everyMember, nameOf, type Member } from './schemas.js';

const LENGTH = 1_000_000;
const LONGEST_MS = 100;
const TEXTS = {
  'combining marks that normalising sorts': 'a\u0315\u0300'.repeat(LENGTH / 3),
  'ligatures that normalising makes eighteen times as long': '\ufdfa'.repeat(LENGTH),
  'plain letters': 'a'.repeat(LENGTH),
  'white space': ' '.repeat(LENGTH),
  digits: '1'.repeat(LENGTH),
};

describe('text that callers send', () => {
  it('is declared with text(), which bounds it first, in every member of every operation', () => {
    const unbounded = everyMember().filter(({ kind }) => kind === 'unbounded text');
    assert.deepEqual(unbounded.map(nameOf), []);
    assert.ok(everyMember().filter(({ kind }) => kind === 'text').length > 40, 'the walk finds the members');
  });

  for (const [what, sent] of Object.entries(TEXTS)) {
    it(`of a megabyte of ${what} is refused by every member in less than ${LONGEST_MS} ms`, () => {
      for (const member of everyMember()) {
        const value = sampleOf(member, sent);
        const startedAt = performance.now();
        const { success } = schemaOf(member).safeParse(value);
        const took = performance.now() - startedAt;
        assert.ok(took < LONGEST_MS, `${nameOf(member)}: ${Math.round(took)} ms`);
        // Payloads of the codec server may be as long as its body: base64 of letters or digits is one.
        if (!member.path.includes('payloads') || member.path.includes('{key}')) assert.ok(!success, `${nameOf(member)} is accepted`);
      }
    });
  }

  it('of a hundred thousand items or names makes one complaint, not a hundred thousand', () => {
    const lists = everyMember().filter(({ path }) => path.some((name) => name === '[]' || name.startsWith('{')));
    assert.ok(lists.length > 0, 'there are lists');
    const items = { payloads: new Array<number>(100_000).fill(5) };
    const names = { payloads: [{ metadata: Object.fromEntries(items.payloads.map((value, n) => [`m${n}`, value])) }] };
    for (const operation of new Set(lists.map((member) => member.operation))) {
      for (const body of [items, names]) {
        assert.equal(operation.body?.safeParse(body).error?.issues.length, 1, operation.path);
      }
    }
  });
});

const schemaOf = ({ operation, place }: Member): z.ZodType => operation[place] as z.ZodType;

/** The smallest value that has `leaf` at the member: what else is missing or wrong is refused as well. */
function sampleOf({ path }: Member, leaf: string): unknown {
  return path.reduceRight<unknown>((inner, name) => {
    if (name === '[]') return [inner];
    if (name === '{}') return { a: inner };
    return name === '{key}' ? { [String(inner)]: '' } : { [name]: inner };
  }, leaf);
}
