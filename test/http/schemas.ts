import { operations as analyticsOperations } from '../../api/analytics/service.js';
import { authOperations } from '../../api/auth/service.js';
import { codecOperations } from '../../api/codec/service.js';
import { fallbackOperation } from '../../api/gateway/fallback.js';
import type { Operation } from '../../api/http/openapi.js';
import { operations as tokenOperations } from '../../api/tokens/operations.js';
import { purchaseOperations } from '../../api/tokens/purchases.js';
import { isBounded } from '../../contracts/http/text.js';
import { z } from '../../contracts/http/common.js';

export const SERVICES: Readonly<Record<'auth' | 'tokens' | 'analytics' | 'codec' | 'gateway', readonly Operation[]>> = {
  auth: authOperations,
  tokens: [...tokenOperations, ...purchaseOperations],
  analytics: analyticsOperations,
  codec: codecOperations,
  gateway: [fallbackOperation],
};

export const everyOperation = Object.values(SERVICES).flat();

export const PLACES = ['body', 'query', 'params', 'headers'] as const;
export type Place = (typeof PLACES)[number];

export interface Member {
  operation: Operation;
  place: Place;
  /** Names from the root; `[]` is an item of a list, `{}` a value of a map, `{key}` one of its names */
  path: readonly string[];
  schema: z.ZodType;
  /** As the object it belongs to declares it, with what makes it optional */
  declared: z.ZodType;
  kind: 'text' | 'unbounded text' | 'object' | 'other';
}

export const nameOf = ({ operation: { method, path }, place, path: names }: Member): string =>
  `${method.toUpperCase()} ${path}: ${place}${names.map((name) => `.${name}`).join('')}`;

/** Every member of what callers send, objects included. */
export const everyMember = (operations: readonly Operation[] = everyOperation): Member[] =>
  operations.flatMap((operation) =>
    PLACES.flatMap((place) => {
      const schema = operation[place];
      return schema === undefined ? [] : [...walk({ operation, place, path: [], schema, declared: schema, kind: 'other' })];
    }),
  );

function* walk(member: Member): Generator<Member> {
  const { schema, path } = member;
  if (isBounded(schema)) return yield { ...member, kind: 'text' };
  const inside = (inner: unknown, more: Partial<Member> = {}) => walk({ ...member, ...more, schema: inner as z.ZodType });
  const below = (name: string, inner: unknown) => inside(inner, { path: [...path, name], declared: inner as z.ZodType });
  const holds = schema instanceof z.ZodObject || schema instanceof z.ZodRecord || schema instanceof z.ZodArray;
  if (holds && path.length > 0) yield { ...member, kind: 'object' };
  if (schema instanceof z.ZodObject) {
    for (const [name, inner] of Object.entries(schema.shape)) yield* below(name, inner);
  } else if (schema instanceof z.ZodRecord) {
    yield* below('{key}', schema.keyType);
    yield* below('{}', schema.valueType);
  } else if (schema instanceof z.ZodArray) yield* below('[]', schema.element);
  else if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) yield* inside(schema.unwrap());
  else if (schema instanceof z.ZodNullable) yield* inside(schema.unwrap());
  else if (schema instanceof z.ZodPipe) yield* inside(schema.in instanceof z.ZodTransform ? schema.out : schema.in);
  else if (schema instanceof z.ZodUnion) for (const option of schema.options) yield* inside(option);
  else yield { ...member, kind: schema instanceof z.ZodString || schema instanceof z.ZodStringFormat ? 'unbounded text' : 'other' };
}
