import { z } from 'zod';
import { secrecyOf } from './secrets.js';

export interface Variable {
  name: string;
  /** What it takes: `true|false`, `0–65535`, … */
  values: string;
  /** As one would write it; undefined: none */
  fallback: string | undefined;
  description: string;
  secret: boolean;
}

/** What is set by the surroundings and not by people: it is in no list. */
export const isAmbient = (schema: z.ZodType) => schema.meta()?.ambient === true;

export function describeVariable(name: string, schema: z.ZodType): Variable {
  return {
    name,
    ...inside(schema),
    description: descriptionOf(schema),
    secret: secrecyOf(schema) !== undefined,
  };
}

/** The descriptions of inner schemas count where the outer one has none. */
function descriptionOf(schema: z.ZodType): string {
  return schema.description ?? (inner(schema) ? descriptionOf(inner(schema)!) : '');
}

function inner(schema: z.ZodType): z.ZodType | undefined {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) return schema.def.innerType as z.ZodType;
  return schema instanceof z.ZodPipe ? (schema.def.in as z.ZodType) : undefined;
}

function inside(schema: z.ZodType): Pick<Variable, 'values' | 'fallback'> {
  if (schema instanceof z.ZodDefault) {
    const { values } = inside(schema.def.innerType as z.ZodType);
    const fallback = String(schema.def.defaultValue);
    return { values, fallback: fallback === String(Number.MAX_SAFE_INTEGER) ? 'unlimited' : fallback };
  }
  const within = inner(schema);
  if (within) return inside(within);
  return { values: valuesOf(schema), fallback: undefined };
}

function valuesOf(schema: z.ZodType): string {
  if (schema instanceof z.ZodEnum) return isFlag(schema.options) ? 'true, false' : schema.options.join(', ');
  if (schema instanceof z.ZodNumber) {
    const { minValue, maxValue } = schema;
    return maxValue !== null && maxValue < Number.MAX_SAFE_INTEGER ? `${minValue}–${maxValue}` : `number ≥ ${minValue}`;
  }
  return schema instanceof z.ZodURL ? 'URL' : 'text';
}

/** Node's timers hold 31 bits: a longer one fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647;
const TIMER = /_MS$/;

/**
 * What is wrong with a text, where the schema's own words would not help or it would take what nobody meant: a blank is no 0, 0x10 no
 * 16, and a time longer than Node's timers can wait none at all. Null: the schema decides.
 */
export function textFault(name: string, schema: z.ZodType, text: string): string | null {
  const leaf = leafOf(schema);
  if (leaf instanceof z.ZodEnum) return leaf.options.includes(text) ? null : `takes ${valuesOf(leaf)}`;
  if (!(leaf instanceof z.ZodNumber)) return null;
  const value = Number(text);
  if (!/^\d+(?:\.\d+)?$/.test(text.trim()) || !leaf.safeParse(value).success) return `takes ${valuesOf(leaf)}`;
  return TIMER.test(name) && value > LONGEST_TIMER_MS ? `is ${LONGEST_TIMER_MS} at most, about 24 days` : null;
}

const leafOf = (schema: z.ZodType): z.ZodType => {
  const within = inner(schema);
  return within ? leafOf(within) : schema;
};

const isFlag = (options: readonly unknown[]) => options.includes('on') && options.includes('off');
