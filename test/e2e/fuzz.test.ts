import assert from 'node:assert/strict';
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { withSystem } from '../support/system.js';
import { assertProblem, call, type Answer } from './http.js';
import { Documented, type DocumentedOperation, type Schema } from './openapi.js';
import { People, type Person } from './people.js';

/** Requests to each operation: with their number a few hundred in all. */
const RUNS = 12;
const SEED = 20_261_123;

/** A request made from what the document says, with some of it spoiled. */
interface Shot {
  params: Record<string, string>;
  query: [string, string][];
  headers: Record<string, string | undefined>;
  raw: string | undefined;
}

const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(null, '', '\0', '\ud800', '__proto__', 1e308, -0, Number.MAX_SAFE_INTEGER + 1, [], {}, 'null', "' OR 1=1 --"),
);
const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uuid(),
  fc.constantFrom('', '0', '-1', '\0', '1e400', 'openai', '%00'),
);

/** A value the schema allows, as far as matters here: its type, choices and ranges. */
function fitting(schema: Schema, document: Documented, person: Person): fc.Arbitrary<unknown> {
  const resolved = document.resolve(schema);
  const choices = (resolved['anyOf'] ?? resolved['oneOf']) as Schema[] | undefined;
  if (choices) return fc.oneof(...choices.map((choice) => fitting(choice, document, person)));
  if (resolved['enum']) return fc.constantFrom(...(resolved['enum'] as unknown[]));
  const type = [resolved['type']].flat()[0];
  if (type === 'object') {
    const required = new Set((resolved['required'] ?? []) as string[]);
    const members = Object.entries((resolved['properties'] ?? {}) as Record<string, Schema>).map(([name, member]) => {
      const value =
        name === 'userId' ? fc.oneof({ weight: 4, arbitrary: fc.constant(person.userId) }, fc.uuid()) : fitting(member, document, person);
      return [name, value] as const;
    });
    return fc.record(Object.fromEntries(members), { requiredKeys: members.map(([name]) => name).filter((name) => required.has(name)) });
  }
  if (type === 'integer' || type === 'number')
    return fc.integer({ min: (resolved['minimum'] as number) ?? 0, max: Math.min((resolved['maximum'] as number) ?? 1_000, 1_000_000) });
  if (type === 'boolean') return fc.boolean();
  if (type === 'null') return fc.constant(null);
  if (type === 'array') return fc.constant([]);
  if (resolved['format'] === 'uuid') return fc.oneof(fc.constant(person.userId), fc.uuid());
  if (resolved['format'] === 'date-time')
    return fc.date({ noInvalidDate: true, min: new Date('2020-01-01'), max: new Date('2040-01-01') }).map((date) => date.toISOString());
  return fc.oneof(fc.stringMatching(/^[a-z]{8,20}$/), fc.string({ minLength: 1, maxLength: 40 }));
}

function shots(operation: DocumentedOperation, document: Documented, person: Person): fc.Arbitrary<Shot> {
  const parameters = operation.parameters ?? [];
  const named = (place: string) => parameters.filter((parameter) => parameter.in === place);
  const valueOf = ({ schema, name }: { schema: Schema; name: string }) =>
    fc.oneof(
      { weight: 3, arbitrary: name === 'userId' ? fc.constant(person.userId) : fitting(schema, document, person).map(String) },
      { weight: 1, arbitrary: text },
    );
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  const body = schema
    ? fc.oneof(
        { weight: 3, arbitrary: fitting(schema, document, person).map((value) => JSON.stringify(value)) },
        {
          weight: 3,
          arbitrary: fc
            .tuple(fitting(schema, document, person), fc.nat(), junk)
            .map(([value, at, bad]) => JSON.stringify(spoiled(value, at, bad))),
        },
        { weight: 1, arbitrary: junk.map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: fc.string({ maxLength: 50 }) },
      )
    : fc.constant(undefined);
  return fc.record({
    params: fc.record(Object.fromEntries(named('path').map((parameter) => [parameter.name, valueOf(parameter)]))),
    query: fc
      .tuple(...named('query').map((parameter) => fc.option(valueOf(parameter)).map((value) => [parameter.name, value] as const)))
      .map((all) => all.filter((pair): pair is [string, string] => pair[1] !== null) as [string, string][]),
    headers: fc.record(Object.fromEntries(named('header').map((parameter) => [parameter.name, fc.stringMatching(/^[ -~]{0,30}$/)])), {
      requiredKeys: [],
    }),
    raw: body,
  });
}

/** One member of the body replaced. */
function spoiled(value: unknown, at: number, bad: unknown): unknown {
  if (typeof value !== 'object' || value === null) return bad;
  const names = Object.keys(value);
  const name = names[at % Math.max(names.length, 1)];
  return name === undefined ? bad : { ...value, [name]: bad };
}

describe('whatever is sent to a documented operation', () => {
  const system = withSystem();
  const people = new People(system);

  for (const service of ['auth', 'tokens', 'analytics'] as const) {
    for (const base of ['gateway', service] as const) {
      it(`of ${service} ${base === service ? 'directly' : 'through the gateway'} is answered as documented, never with a fault`, async () => {
        const document = await Documented.at(system()[service]);
        for (const { method, template, operation } of document.operations()) {
          // Through the gateway this is no route; and keys that sign everyone's tokens are rotated often enough elsewhere.
          if (template.endsWith('/exchange') || template.endsWith('/signing-keys/rotate')) continue;
          // Of a fresh person each: nobody meets the limit of requests.
          const person = await people.register();
          const property = fc.asyncProperty(shots(operation, document, person), async ({ params, query, headers, raw }) => {
            const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => escape(params[name] || randomUUID()));
            const search = query.map(([name, value]) => `${name}=${escape(value)}`).join('&');
            const answer = await call(system()[base], method, search === '' ? path : `${path}?${search}`, {
              token: person.token,
              headers: definedOf(headers),
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

const definedOf = (headers: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined));

/** encodeURIComponent throws on lone surrogates; as bytes they are what a hostile client would send. */
const escape = (value: string): string => (value.isWellFormed() ? encodeURIComponent(value) : '%ED%A0%80').replaceAll('.', '%2E');

function assertDocumented(document: Documented, method: string, template: string, answer: Answer): void {
  // A provider that a fuzzed prompt makes fail is no fault of ours, nor is a full bucket.
  assert.ok(answer.status < 500, `${method} ${template}: ${answer.status} ${answer.text}`);
  if (answer.status >= 400) assertProblem(answer, answer.status);
  // A parameter that is no text of ours may make it another path.
  if (answer.status !== 404) document.assertAnswer(method, template, answer);
}
