import assert from 'node:assert/strict';
import { everyMember, nameOf } from './schemas.js';

describe('an optional member of a body', () => {
  it('is read the same when it is null as when it is left out, in every operation', () => {
    const optional = everyMember().filter(({ place, path, declared }) => {
      return place === 'body' && path.length > 0 && declared.safeParse(undefined).success;
    });
    assert.ok(optional.length >= 12, 'the walk finds them');
    for (const member of optional) {
      const absent = member.declared.safeParse(undefined);
      assert.deepEqual(member.declared.safeParse(null), absent, nameOf(member));
    }
  });
});
