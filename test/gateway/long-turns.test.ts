import assert from 'node:assert/strict';
import { createPlaces } from '../../api/gateway/places.js';
import { loadConfig } from '../../config.js';
import { turnAgeMs } from '../../platform/turn-age.js';
import { eventually } from '../support/eventually.js';

describe('a turn of the event loop that takes too long', () => {
  function keepBusy(ms: number): void {
    const until = performance.now() + ms;
    while (performance.now() < until);
  }

  it('lets in only callers with few calls in progress, then nobody, and all of them when it is over; reads go on', async () => {
    const places = createPlaces(loadConfig({}));
    const calls = places.of('tokens', 'POST', '/api/v1/tokens/consume');
    const reads = places.of('tokens', 'GET', '/api/v1/tokens/quota');
    for (let held = 0; held < 16; held += 1) calls.take('mallory');
    const letIn = () => ['mallory', 'ada'].filter((caller) => places.hasRoom(calls, caller));
    await eventually('a short turn', () => turnAgeMs() < 100);
    assert.deepEqual(letIn(), ['mallory', 'ada']);
    keepBusy(250);
    assert.deepEqual(letIn(), ['ada']);
    keepBusy(1_000);
    assert.deepEqual(letIn(), []);
    assert.equal(places.hasRoom(reads, 'ada'), true);
    await eventually('it is over', () => letIn().length === 2);
  });
});
