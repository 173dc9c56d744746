import { text as readAll } from 'node:stream/consumers';
import { paymentMethodsOf } from '../adapters/payments/index.js';
import { ConfigError, explainConfig, faultsOf, listVariables, readConfig, type Config } from '../config.js';
import { encrypt, parseKeys } from '../config/encryption.js';
import type { Variable } from '../config/describe.js';
import { TASKS, type Task } from '../config/rules.js';
import { PROVIDERS } from '../contracts/providers.js';
import { smallestPurchase, tiersThatCannotBuy } from '../domain/pricing.js';
import { pathFaults } from './gateway-paths.js';

/** The `leaky config` commands. None shows a secret, and only `check` minds a fault. */
export const configCommands = {
  /** For all services, or one that has not the secrets of the others. @throws ConfigError with every fault, unknown variables of the environment included */
  check(service?: string): string {
    const { config, warnings } = readConfig();
    const tasks = tasksOf(service);
    const simulator = tasks.includes('payments') && config.payments.fault !== null ? [config.payments.fault] : [];
    const faults = [...tasks.flatMap((task) => config.taskFaults[task]), ...simulator, ...pathFaults(config)];
    if (faults.length > 0) throw faultsOf('configuration', [...faults, ...warnings]);
    if (warnings.length > 0) throw faultsOf('environment', warnings);
    return `The configuration is sound.\n${tasks.includes('payments') ? tiersShutOut(config) : ''}`;
  },

  print(): string {
    return table(explainConfig().map(({ name, value, origin }) => [name, value, origin]));
  },

  list(markdown: boolean): string {
    const sections = listVariables();
    if (markdown) return sections.map(({ section, variables }) => `## ${section}\n\n${markdownTable(variables)}`).join('\n');
    return table(
      sections.flatMap(({ variables }) => variables.map((variable) => [variable.name, variable.fallback ?? '', noteOf(variable)])),
    );
  },

  /** Reads the value from standard input: on the command line others could see it. */
  async encrypt(name: string): Promise<string> {
    if (!listVariables().some(({ variables }) => variables.some((variable) => variable.name === name))) {
      throw new ConfigError(`${name}: no such variable`);
    }
    const [key] = parseKeys(readConfig().config.encryptionKeys);
    if (!key) throw new ConfigError('LEAKY_CONFIG_KEY_FILE: required here, the path of a file with a line id:64 hex digits');
    return `${encrypt(name, (await readAll(process.stdin)).replace(/\r?\n$/, ''), key)}\n`;
  },
};

/** With a payment provider that takes no small amounts, some tiers' pools are too small for any purchase. */
function tiersShutOut({ payments }: Config): string {
  const { minimumCents, provider: taker } = paymentMethodsOf({ payments });
  return PROVIDERS.map((provider) => ({ provider, tiers: tiersThatCannotBuy(provider, minimumCents) }))
    .filter(({ tiers }) => tiers.length > 0)
    .map(
      ({ provider, tiers }) =>
        `Note: ${tiers.join(', ')} cannot buy ${provider} tokens: their caps are below the smallest purchase that ${taker} takes, ${smallestPurchase(provider, minimumCents)} tokens.\n`,
    )
    .join('');
}

const WITH_PROVIDERS_AND_PAYMENTS = ['start', 'tokens', 'worker'];
const OTHERS = ['gateway', 'auth', 'analytics', 'codec-server', 'stubs', 'migrate', 'setup'];

function tasksOf(service: string | undefined): readonly Task[] {
  if (service === undefined || WITH_PROVIDERS_AND_PAYMENTS.includes(service)) return TASKS;
  if (service === 'setup') return ['topics'];
  if (OTHERS.includes(service)) return ['shutdown'];
  throw new ConfigError(`${service}: no such service; one of ${[...WITH_PROVIDERS_AND_PAYMENTS, ...OTHERS].join(', ')}`);
}

const noteOf = ({ values, secret, description }: Variable) =>
  [description, `(${values}${secret ? ', secret' : ''})`].filter(Boolean).join(' ');

function table(rows: readonly string[][]): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length).filter((length) => length < 60)));
  return rows.map(([name = '', value = '', note = '']) => `${name.padEnd(widths[0]!)}  ${value.padEnd(widths[1]!)}  ${note}\n`).join('');
}

function markdownTable(variables: readonly Variable[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = variables.map(({ name, values, fallback, description, secret }) => {
    const value = fallback === undefined ? '' : fallback === '' ? 'empty' : `\`${cell(fallback)}\``;
    return `| \`${name}\` | ${value} | ${values}${secret ? ', secret' : ''} | ${cell(description)} |\n`;
  });
  return `| variable | default | takes | |\n|---|---|---|---|\n${rows.join('')}`;
}
