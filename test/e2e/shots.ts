import fc from 'fast-check';
import type { Documented, DocumentedOperation, Schema } from './openapi.js';

/** What there is to name: without true ids a request never gets far. */
export interface Target {
  userId: string;
  orgId: string;
  sagaId: string;
}

/** A request made from what the document says, often with some of it spoiled. */
export interface Shot {
  asAdmin: boolean;
  params: Record<string, string>;
  query: [string, string][];
  headers: [string, string][];
  raw: string | undefined;
}

const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(null, '', '\0', '\ud800', '__proto__', 1e308, 5e-324, -0, Number.MAX_SAFE_INTEGER + 1, [], {}, 'null', "' OR 1=1 --"),
);
const junkText = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uuid(),
  fc.constantFrom('', '0', '-1', '\0', '1e400', 'openai', '%00'),
);
const mostly = (value: string, other: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });

/** A member or parameter of this name, from what there is. Null: its schema says what it may be. */
function known(name: string, { userId, orgId, sagaId }: Target): fc.Arbitrary<unknown> | null {
  if (name === 'userId') return mostly(userId, fc.uuid());
  if (name === 'orgId') return mostly(orgId, fc.uuid());
  if (name === 'ownerId') return fc.constantFrom(userId, orgId);
  if (name === 'sagaId') return mostly(sagaId, fc.uuid());
  if (name === 'paymentMethod') return fc.constantFrom('sim_approve', 'sim_decline', 'sim_slow:50');
  if (name === 'zone') return fc.constantFrom('UTC', 'Asia/Kathmandu', 'America/St_Johns');
  if (name === 'step') return fc.constantFrom('1m', '1h', '1d', '15', 'PT1H');
  if (name === 'from') return fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T01:00:00.5+14:00');
  if (name === 'to') return fc.constantFrom('2026-01-01T03:00:00Z', '2026-01-01T00:00:00Z');
  if (name === 'cursor') return fc.base64String();
  if (name === 'idempotency-key') return fc.stringMatching(/^[!-~]{0,101}$/);
  if (name === 'tokens') return fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 1_000_001 }));
  return null;
}

/** A value the schema allows, as far as matters here: its type, choices and ranges. */
function fitting(schema: Schema, document: Documented, target: Target): fc.Arbitrary<unknown> {
  const resolved = document.resolve(schema);
  const choices = (resolved['anyOf'] ?? resolved['oneOf']) as Schema[] | undefined;
  if (choices) return fc.oneof(...choices.map((choice) => fitting(choice, document, target)));
  if (resolved['enum']) return fc.constantFrom(...(resolved['enum'] as unknown[]));
  switch ([resolved['type']].flat()[0]) {
    case 'object':
      return fittingObject(resolved, document, target);
    case 'integer':
      return fc.integer({
        min: (resolved['minimum'] as number) ?? 0,
        max: Math.min((resolved['maximum'] as number) ?? 1_000, 2 ** 31 - 1),
      });
    case 'number':
      return fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(5e-324, 1e-300, 1e-9, 0.5, 9_999.5, 1e300));
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.constant([]);
    default:
      return fittingText(resolved);
  }
}

function fittingText({ format }: Schema): fc.Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  if (format === 'email') return fc.emailAddress();
  if (format === 'date-time') return fc.date({ noInvalidDate: true, min: new Date('2020-01-01') }).map((date) => date.toISOString());
  return fc.oneof(fc.stringMatching(/^[a-z]{8,20}$/), fc.string({ minLength: 1, maxLength: 40 }));
}

function fittingObject(schema: Schema, document: Documented, target: Target): fc.Arbitrary<unknown> {
  const required = new Set((schema['required'] ?? []) as string[]);
  const members = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
  return fc.record(Object.fromEntries(members.map(([name, member]) => [name, known(name, target) ?? fitting(member, document, target)])), {
    requiredKeys: members.map(([name]) => name).filter((name) => required.has(name)),
  });
}

/** One member replaced. */
function spoiled(value: unknown, at: number, bad: unknown): unknown {
  if (typeof value !== 'object' || value === null) return bad;
  const names = Object.keys(value);
  const name = names[at % Math.max(names.length, 1)];
  return name === undefined ? bad : { ...value, [name]: bad };
}

function bodies(schema: Schema, document: Documented, target: Target): fc.Arbitrary<string> {
  const good = fitting(schema, document, target);
  return fc.oneof(
    { weight: 5, arbitrary: good.map((value) => JSON.stringify(value)) },
    { weight: 3, arbitrary: fc.tuple(good, fc.nat(), junk).map(([value, at, bad]) => JSON.stringify(spoiled(value, at, bad))) },
    { weight: 1, arbitrary: junk.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string({ maxLength: 50 }) },
  );
}

export function shots(operation: DocumentedOperation, document: Documented, target: Target): fc.Arbitrary<Shot> {
  const inPlace = (place: string, spoil: fc.Arbitrary<string>) =>
    fc.tuple(
      ...(operation.parameters ?? [])
        .filter((parameter) => parameter.in === place)
        .map(({ name, schema }) => {
          const good = (known(name, target) ?? fitting(schema, document, target)).map(String);
          const value = fc.oneof({ weight: 10, arbitrary: good }, { weight: 1, arbitrary: spoil });
          return value.map((text): [string, string] => [name, text]);
        }),
    );
  const omitting = (all: fc.Arbitrary<[string, string][]>) =>
    fc.tuple(all, fc.nat({ max: 20 })).map(([pairs, omitted]) => pairs.filter((_, index) => index !== omitted));
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  return fc.record({
    asAdmin: fc.boolean(),
    params: inPlace('path', junkText).map((pairs) => Object.fromEntries(pairs)),
    query: omitting(inPlace('query', junkText)),
    headers: omitting(inPlace('header', fc.stringMatching(/^[ -~]{0,30}$/))),
    raw: schema ? bodies(schema, document, target) : fc.constant(undefined),
  });
}
