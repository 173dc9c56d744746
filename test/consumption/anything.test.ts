import assert from 'node:assert/strict';
import fc from 'fast-check';
import { newBuyer } from '../support/buyers.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type ConsumeAnswer, type TokenServiceRig } from '../support/token-service.js';

const BEHAVIOURS = ['', '', '', '[stub:slow=60]', '[stub:fail]', '[stub:fail=1]', '[stub:hang]', '[stub:cut=1]', '[stub:nonsense]'];
const NONSENSE = [
  '[stub:nonsense=no-usage]',
  '[stub:nonsense=huge-usage]',
  '[stub:nonsense=negative-usage]',
  '[stub:status=429] [stub:times=1]',
];
const CAPACITY = 1_000;
const LEAK_PER_SECOND = 10;
const ALLOWED = [200, 402, 409, 429, 502, 503, 504];

const step = fc.record({
  user: fc.nat(3),
  tokens: fc.integer({ min: 1, max: 40 }),
  behaviour: fc.constantFrom(...BEHAVIOURS, ...NONSENSE),
  /** Few keys, so that they are used again, with the same payload and with others; null for none */
  key: fc.option(fc.nat(15)),
  process: fc.nat(1),
  /** How many at once */
  times: fc.integer({ min: 1, max: 3 }),
});

describe('any mixture of consumptions', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  const rigs: TokenServiceRig[] = [];
  before(async () => {
    const options = { database: database().pool, temporal: temporal(), environment: { LEAKY_PROVIDER_TIMEOUT_MS: '150' } };
    const first = await startTokenServiceRig(options);
    rigs.push(first, await startTokenServiceRig({ ...options, besides: first }));
  });
  after(async () => {
    for (const rig of rigs.toReversed()) await rig.stop();
  });

  it('charges each user the sum of its 200s by consumption, keeps the bucket and the books', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 90 }), async (steps) => {
        // The last one runs out of quota.
        const buyers = await Promise.all([2_000, 2_000, 2_000, 150].map((tokens) => newBuyer(database().pool, tokens)));
        const from = performance.now();
        const answers = await Promise.all(
          steps.flatMap(({ user, tokens, behaviour, key, process, times }) => {
            const command = buyers[user]?.order({ tokens, prompt: `${behaviour} hi` }) ?? {};
            const headers: Record<string, string> = key === null ? {} : { 'idempotency-key': String(key) };
            return Array.from({ length: times }, async () => {
              const answer = await rigs[process]?.consume(command, headers);
              assert.ok(answer);
              return { user, tokens, answer };
            });
          }),
        );
        const seconds = (performance.now() - from) / 1_000;
        for (const { answer } of answers) assert.ok(ALLOWED.includes(answer.status), JSON.stringify(answer.body));
        await assertSound(database().pool);
        for (const [user, buyer] of buyers.entries()) {
          const mine = answers.filter((one) => one.user === user);
          const done = new Map(mine.filter(({ answer }) => answer.status === 200).map(({ answer, tokens }) => [idOf(answer), tokens]));
          const rows = (await buyer.rows()).filter(({ state }) => state === 'SETTLED');
          assert.deepEqual(new Set(rows.map(({ id }) => id)), new Set(done.keys()), 'who was charged was answered, and the reverse');
          const charged = [...done.values()].reduce((sum, tokens) => sum + tokens, 0);
          const balance = await buyer.balance();
          assert.deepEqual([balance['consumed_total'], balance['reserved']], [charged, 0]);
          // Each process has a bucket of its own.
          assert.ok(charged <= rigs.length * (CAPACITY + seconds * LEAK_PER_SECOND));
        }
      }),
      { numRuns: 4 },
    );
  });
});

const idOf = ({ body }: ConsumeAnswer) => String(body['consumptionId']);
