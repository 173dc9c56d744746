import { z } from 'zod';
import { describeVariable, isAmbient, type Variable } from './config/describe.js';
import { secretsIn, shown } from './config/secrets.js';
import { environmentSchema, sections, shape } from './config/sections.js';
import { gatherSettings, type Settings } from './config/sources.js';

/**
 * The only reader of the environment. One schema, in sections (config/), parsed once, every fault reported at once.
 * Values come from the environment, from files that NAME_FILE names, from LEAKY_CONFIG_FILE (config/sources.ts), encrypted if you like.
 */
export type Config = Readonly<ReturnType<typeof shape>> & {
  /** Every secret in this configuration, for logs to leave out */
  readonly secrets: readonly string[];
};

/** Raised with one line per faulty variable; the message is meant for the person who set them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const variables: Readonly<Record<string, z.ZodType>> = environmentSchema.shape;
const settable = new Set(Object.keys(variables).filter((name) => !isAmbient(variables[name]!)));

/** @throws ConfigError naming every faulty variable at once */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  return readConfig(environment).config;
}

/** @throws ConfigError as `loadConfig` does; `warnings` name variables of the environment that nothing reads */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): { config: Config; warnings: string[] } {
  const settings = gatherSettings(settable, environment);
  const parsed = environmentSchema.safeParse(textsOf(settings, environment));
  const faults = [...settings.faults, ...(parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`)];
  if (!parsed.success || faults.length > 0) {
    throw new ConfigError(`The configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
  }
  return { config: { ...shape(parsed.data), secrets: secretsIn(variables, settings.values) }, warnings: settings.warnings };
}

function textsOf({ values }: Settings, environment: NodeJS.ProcessEnv): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, schema]) => {
      const text = settable.has(name) ? values.get(name)?.text : environment[name];
      // An optional variable left blank is not set: env files and templates often leave them so. Where there is a default, blank is a value.
      return [name, text === '' && schema instanceof z.ZodOptional ? undefined : text];
    }),
  );
}

/** What is set and where, without any secret. Faults of values do not matter here. */
export function explainConfig(environment: NodeJS.ProcessEnv = process.env): { name: string; value: string; origin: string }[] {
  const { values } = gatherSettings(settable, environment);
  return [...settable].flatMap((name) => {
    const setting = values.get(name);
    const { fallback } = describeVariable(name, variables[name]!);
    if (setting) return [{ name, value: shown(variables[name]!, setting.text), origin: setting.origin }];
    return fallback === undefined ? [] : [{ name, value: fallback, origin: 'default' }];
  });
}

/** All variables by section, in the order of the documentation. */
export function listVariables(): { section: string; variables: Variable[] }[] {
  return Object.entries(sections).map(([section, { schema }]) => ({
    section,
    variables: Object.entries(schema)
      .filter(([name]) => settable.has(name))
      .map(([name, field]) => describeVariable(name, field)),
  }));
}
