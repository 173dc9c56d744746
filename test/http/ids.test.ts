import assert from 'node:assert/strict';
import { uuid } from '../../contracts/http/common.js';

/** RFC 9562, 4: the text form of any version and variant. PostgreSQL and other systems have all of these. */
const IDS = [
  '10000000-0000-0000-0000-000000000001',
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  'c232ab00-9414-11ec-b3c8-9f6bdeced846',
  '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
  '2489e9ad-2ee2-8e00-8ec9-32d5f69181c0',
  'A0EEBC99-9C0B-0EF8-BB6D-6BB9BD380A11',
];

describe('an id', () => {
  it('is a UUID of any version, in lower case from then on', () => {
    for (const id of IDS) assert.equal(uuid.parse(id), id.toLowerCase(), id);
  });

  it('is nothing else', () => {
    const braces = '{10000000-0000-0000-0000-000000000001}';
    const others = ['', '1', braces, IDS[0]?.replaceAll('-', ''), `${IDS[0]} `, `urn:uuid:${IDS[0]}`, IDS[0]?.replace('1', 'g')];
    for (const text of others) assert.equal(uuid.safeParse(text).success, false, text);
  });
});
