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

const isFlag = (options: readonly unknown[]) => options.includes('on') && options.includes('off');
