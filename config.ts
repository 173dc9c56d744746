import { z } from 'zod';
import { describeVariable, isAmbient, textFault, type Variable } from './config/describe.js';
import { TASKS, type Task } from './config/rules.js';
import { secretsIn, shown } from './config/secrets.js';
import { environmentSchema, rules, sections, shape, type Environment } from './config/sections.js';
import { gatherSettings, type Settings } from './config/sources.js';

/**
 * The only reader of the environment. One schema, in sections (config/), parsed once, every fault reported at once.
 * Values come from the environment, from files that NAME_FILE names, from LEAKY_CONFIG_FILE (config/sources.ts), encrypted if you like.
 */
export type Config = Readonly<ReturnType<typeof shape>> & {
  /** Every secret in this configuration, for logs to leave out */
  readonly secrets: readonly string[];
  /** What is wrong for those who do a task only; `requireFor` says it */
  readonly taskFaults: Readonly<Record<Task, readonly string[]>>;
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
  const { env, faults } = parseVariables(textsOf(settings, environment));
  const faulty = new Set([...settings.faults.map((fault) => fault.split(':', 1)[0]), ...faults.map(({ name }) => name)]);
  const found = [...settings.faults, ...faults.map(({ name, message }) => `${name}: ${message}`), ...brokenRules(env, faulty, undefined)];
  const taskFaults = Object.fromEntries(TASKS.map((task) => [task, brokenRules(env, faulty, task)])) as unknown as Config['taskFaults'];
  if (found.length > 0) throw faultsOf('configuration', [...found, ...Object.values(taskFaults).flat()]);
  return { config: { ...shape(env), secrets: secretsIn(variables, settings.values), taskFaults }, warnings: settings.warnings };
}

/** @throws ConfigError with all that stands against doing these tasks */
export function requireFor(config: Pick<Config, 'taskFaults'>, ...tasks: Task[]): void {
  const faults = tasks.flatMap((task) => config.taskFaults[task]);
  if (faults.length > 0) throw faultsOf('configuration', faults);
}

/** One error for all that is wrong with the `configuration`, or the `environment` it came from. */
export const faultsOf = (what: string, faults: readonly string[]): ConfigError =>
  new ConfigError(`The ${what} has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`);

/** Each by itself, so that a faulty one hides no fault of the others; the environment is complete only when there is none. */
function parseVariables(texts: Record<string, string | undefined>): { env: Environment; faults: { name: string; message: string }[] } {
  const env: Record<string, unknown> = {};
  const faults: { name: string; message: string }[] = [];
  for (const [name, schema] of Object.entries(variables)) {
    const text = texts[name];
    const message = text === undefined ? null : textFault(name, schema, text);
    const parsed = schema.safeParse(text);
    if (message !== null) faults.push({ name, message });
    else if (parsed.success) env[name] = parsed.data;
    else for (const issue of parsed.error.issues) faults.push({ name, message: issue.message });
  }
  return { env: env as Environment, faults };
}

function brokenRules(env: Environment, faulty: ReadonlySet<string | undefined>, task: Task | undefined): string[] {
  return rules
    .filter((rule) => rule.for === task && !rule.of.some((name) => faulty.has(name)))
    .flatMap((rule) => {
      const fault = rule.fault(env);
      return fault === null ? [] : [`${rule.of[0]}: ${fault}`];
    });
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
