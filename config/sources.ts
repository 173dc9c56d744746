import { closest, distance } from 'fastest-levenshtein';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { decrypt, isEncrypted, parseKeys, type ConfigKey } from './encryption.js';
import { readConfigFile } from './file.js';

export interface Setting {
  text: string;
  /** For people: where it was found */
  origin: string;
}

export interface Settings {
  values: Map<string, Setting>;
  faults: string[];
  warnings: string[];
}

type Lookup = (name: string) => string | undefined;

/** Not of the program: they steer tests, benchmarks and scripts. */
const OF_TOOLS = /^LEAKY_(TEST_|BENCH_|FAULT_|RECORD_|SERVER_CACHE$|DIST$|STRIPE_MOCK_)/;
/** Further away than this, a name was not meant to be the other one. */
const TYPO_DISTANCE = 4;

/**
 * Where values come from, the first that has one: NAME in the environment, the file that NAME_FILE in the environment names, the file
 * NAME in LEAKY_SECRETS_DIR, then the first two in LEAKY_CONFIG_FILE. Each may be encrypted. Every fault is collected; none holds a value.
 */
export function gatherSettings(names: ReadonlySet<string>, environment: NodeJS.ProcessEnv): Settings {
  const settings: Settings = { values: new Map(), faults: [], warnings: [] };
  const attempt = <T>(name: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      settings.faults.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };
  const file = environment.LEAKY_CONFIG_FILE || undefined;
  const fromFile = (file && attempt('LEAKY_CONFIG_FILE', () => readConfigFile(file))) || new Map<string, string>();
  const folder = environment.LEAKY_SECRETS_DIR || undefined;
  // Mounted secrets come with entries that are not theirs (Kubernetes: ..data), and an optional one is left out without a trace.
  const mounted = new Set(folder && attempt('LEAKY_SECRETS_DIR', () => readdirSync(folder).filter((name) => name.startsWith('LEAKY_'))));
  const find = (name: string): Setting | undefined =>
    lookIn(name, 'environment', (each) => environment[each]) ??
    (folder && mounted.has(name) ? readSetting(path.join(folder, name), 'LEAKY_SECRETS_DIR') : undefined) ??
    lookIn(name, file ?? '', (each) => fromFile.get(each));
  const keys = attempt('LEAKY_CONFIG_KEY', () => parseKeys(find('LEAKY_CONFIG_KEY')?.text ?? '')) ?? [];
  for (const name of names) {
    const setting = attempt(name, () => decrypted(name, find(name), keys));
    if (setting) settings.values.set(name, setting);
  }
  settings.faults.push(
    ...[...fromFile.keys()].filter((name) => !isKnown(name, names)).map((name) => `${name}: ${unknown(name, names)} (${file})`),
  );
  settings.faults.push(...[...mounted].filter((name) => !names.has(name)).map((name) => `${name}: ${unknown(name, names)} (${folder})`));
  const strangers = Object.keys(environment).filter((name) => name.startsWith('LEAKY_') && !OF_TOOLS.test(name) && !isKnown(name, names));
  settings.warnings.push(...strangers.map((name) => `${name}: ${unknown(name, names)}`));
  return settings;
}

function lookIn(name: string, origin: string, lookup: Lookup): Setting | undefined {
  const text = lookup(name);
  const file = lookup(`${name}_FILE`);
  if (file === undefined || file === '') return text === undefined ? undefined : { text, origin };
  if (text !== undefined && text !== '') throw new Error(`set as well as ${name}_FILE; which one counts?`);
  return readSetting(file, `${name}_FILE`);
}

/** Editors and `echo` end a file with a new line that is not part of the secret. */
const readSetting = (file: string, by: string): Setting => ({
  text: readFileSync(file, 'utf8').replace(/\r?\n$/, ''),
  origin: `${file} (${by})`,
});

function decrypted(name: string, setting: Setting | undefined, keys: readonly ConfigKey[]): Setting | undefined {
  if (!setting || !isEncrypted(setting.text)) return setting;
  return { text: decrypt(name, setting.text, keys), origin: `${setting.origin}, encrypted` };
}

const isKnown = (name: string, names: ReadonlySet<string>) => names.has(name) || (name.endsWith('_FILE') && names.has(name.slice(0, -5)));

function unknown(name: string, names: ReadonlySet<string>): string {
  const nearest = closest(name, [...names]);
  return `no such variable${distance(name, nearest) <= TYPO_DISTANCE ? `; did you mean ${nearest}?` : ''}`;
}
