import assert from 'node:assert/strict';
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { withSystem } from '../support/system.js';
import { assertProblem, call, type Answer } from './http.js';
import { Documented } from './openapi.js';
import { People, type Person } from './people.js';
import { shots, type Target } from './shots.js';

/** Requests to each operation and way: several hundred in all. */
const RUNS = 15;
const SEED = 20_261_123;

describe('whatever is sent to a documented operation', () => {
  const system = withSystem();
  const people = new People(system);

  async function target(): Promise<{ person: Person; target: Target }> {
    const person = await people.register();
    const orgId = await people.org(person);
    const saga = await people.buy(person, 100);
    await people.buy(person, 100, { orgId });
    return { person, target: { userId: person.userId, orgId, sagaId: String(saga['id']) } };
  }

  for (const service of ['auth', 'tokens', 'analytics'] as const) {
    for (const base of ['gateway', service] as const) {
      it(`of ${service} ${base === service ? 'directly' : 'through the gateway'} is answered as documented, never with a fault`, async () => {
        const document = await Documented.at(system()[service]);
        const admin = await people.admin();
        const { person, target: found } = await target();
        for (const { method, template, operation } of document.operations()) {
          // Through the gateway this is no route; and keys that sign everyone's tokens are rotated often enough elsewhere.
          if (template.endsWith('/exchange') || template.endsWith('/signing-keys/rotate')) continue;
          const property = fc.asyncProperty(shots(operation, document, found), async ({ asAdmin, params, query, headers, raw }) => {
            const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => escape(params[name] || randomUUID()));
            const search = query.map(([name, value]) => `${name}=${escape(value)}`).join('&');
            const answer = await call(system()[base], method, search === '' ? path : `${path}?${search}`, {
              token: asAdmin ? admin.token : person.token,
              headers: Object.fromEntries(headers),
              ...(raw !== undefined && { raw }),
            });
            assertDocumented(document, method, template, answer);
          });
          await fc.assert(property, { seed: SEED, numRuns: RUNS, endOnFailure: false });
        }
      });
    }
  }
});

/** encodeURIComponent throws on lone surrogates; as bytes they are what a hostile client would send. */
const escape = (value: string): string => (value.isWellFormed() ? encodeURIComponent(value) : '%ED%A0%80').replaceAll('.', '%2E');

function assertDocumented(document: Documented, method: string, template: string, answer: Answer): void {
  assert.ok(answer.status < 500, `${method} ${template}: ${answer.status} ${answer.text}`);
  if (answer.status >= 400) assertProblem(answer, answer.status);
  // A parameter that is no text of ours may make it another path.
  if (answer.status !== 404) document.assertAnswer(method, template, answer);
}
