import { z } from 'zod';
import { readFileSync } from 'node:fs';
import { environmentSchema, shape } from './config/sections.js';

/**
 * The only reader of the environment. One schema, in sections (config/), parsed once, every fault reported at once.
 * Any variable NAME may come from a file instead: NAME_FILE is its path. So TLS settings and secrets hold the text itself.
 */
export type Config = Readonly<ReturnType<typeof shape>>;

/** Raised with one line per faulty variable; the message is meant for the person who set them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const names = Object.keys(environmentSchema.shape);

/** @throws ConfigError naming every faulty variable at once */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const faults: string[] = [];
  const values: NodeJS.ProcessEnv = {};
  for (const name of names) {
    try {
      values[name] = valueOf(name, environment);
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
    }
  }
  const parsed = environmentSchema.safeParse(values);
  faults.push(...(parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  if (parsed.success && faults.length === 0) return shape(parsed.data);
  throw new ConfigError(`The configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
}

function valueOf(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  const file = environment[`${name}_FILE`];
  if (file === undefined) return unlessBlank(name, environment[name]);
  if (environment[name] !== undefined) throw new Error(`${name}: set as well as ${name}_FILE; which one counts?`);
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new Error(`${name}_FILE: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** An optional variable left blank is not set: env files and templates often leave them so. Where there is a default, blank is a value. */
function unlessBlank(name: string, value: string | undefined): string | undefined {
  return value === '' && environmentSchema.shape[name as keyof typeof environmentSchema.shape] instanceof z.ZodOptional ? undefined : value;
}
