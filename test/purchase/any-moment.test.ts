import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { PURCHASE_MESSAGES } from '../../contracts/temporal.js';
import { orderOf, withBench } from './bench.js';

/** What the payment does, and when after its start the purchase is cancelled; null: never. */
const purchase = fc.record({
  method: fc.constantFrom(
    'sim_approve',
    'sim_decline',
    'sim_timeout:1',
    'sim_timeout_reserve:1',
    'sim_capture_fails',
    'sim_capture_timeout',
    'sim_release_fails:2',
    'sim_slow:700',
    'sim_slow_capture:700',
  ),
  cancelAfterMs: fc.option(fc.integer({ min: 0, max: 800 })),
});

describe('a purchase cancelled at any moment', function () {
  this.timeout(90_000);
  const bench = withBench();

  it('holds the laws of its end, whatever its payment does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(purchase, { minLength: 8, maxLength: 8 }), async (purchases) => {
        await Promise.all(
          purchases.map(async ({ method, cancelAfterMs }) => {
            const order = orderOf({ method, limitSeconds: 5 });
            await bench.start(order);
            if (cancelAfterMs !== null) {
              await delay(cancelAfterMs);
              // Past the point of no return or ended: refused, and the laws hold all the same.
              await bench.handle(order).executeUpdate(PURCHASE_MESSAGES.cancel).catch(String);
            }
            await bench.ended(order);
          }),
        );
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });
});
