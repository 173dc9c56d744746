import assert from 'node:assert/strict';
import { describeAudit } from '../../compose/audit.js';

describe('the printed audit', () => {
  const report = (samples: string[]) =>
    describeAudit({
      checkedAt: '2026-11-27T08:00:00.000Z',
      checked: { pools: 1, consumptions: 2, purchases: 3, usageEvents: 4 },
      breaches: [{ invariant: 3, law: 'roll-ups equal a recount', count: 8, samples }],
    });

  it('names some of what breaks a law', () => {
    assert.match(report(['a', 'b']), /\n {2}8 time\(s\), for instance a, b\n$/);
  });

  it('promises no instance where the law names none', () => {
    assert.match(report([]), /\n {2}8 time\(s\)\n$/);
  });
});
