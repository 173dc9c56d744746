import { Command, InvalidArgumentError } from 'commander';
import path from 'node:path';
import { createLifecycle } from '../compose/process.js';
import { watchParent } from '../embedded/parent.js';
import { markAdminPasswordShown } from '../embedded/secrets.js';
import { DEFAULT_PORTS, portsFrom } from './ports.js';
import { startStack } from './start.js';
import { welcome } from './welcome.js';

export async function run(args: readonly string[]): Promise<void> {
  await new Command('npm run stack --')
    .description(
      'The full stack without a container engine, each part a process of its own: PostgreSQL, Redis, Kafka, Cassandra, Temporal on PostgreSQL, ' +
        'provider stubs, auth, two token services, analytics, a worker and a gateway. Needs Linux, redis-server, Java 17 with Maven, and Go for ' +
        'the first start, which builds the Temporal server (about 14 minutes of CPU time) into a cache that all clones share.',
    )
    .option('--dir <folder>', 'all state: data, logs, secrets', 'data/stack')
    .option('--ports <first>', 'use the 26 ports from this one on, instead of the usual ones', port)
    .addHelpText('after', '\nSettings of the services (LEAKY_…) are handed on to all of them. Ctrl-C stops everything.')
    .action(main)
    .parseAsync(args, { from: 'user' });
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1024 || value > 65_000) throw new InvalidArgumentError('a port from 1024 to 65000');
  return value;
}

async function main({ dir, ports }: { dir: string; ports?: number }): Promise<void> {
  const began = Date.now();
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const message = (error: unknown) => (error instanceof Error ? error.message : String(error));
  const lifecycle = createLifecycle(say, (error) => say(message(error)));
  if (process.env.npm_lifecycle_event) watchParent(() => lifecycle.stop('npm has ended; stopping', 0));
  const { npm_lifecycle_event: _, ...environment } = process.env;
  try {
    const stack = await startStack(
      { dataDir: path.resolve(dir), ports: ports === undefined ? DEFAULT_PORTS : portsFrom(ports), environment, say },
      (stop) => lifecycle.onStop(stop),
    );
    process.stdout.write(`${welcome(stack, (Date.now() - began) / 1000)}\n`);
    markAdminPasswordShown(stack.dataDir, stack.secrets);
  } catch (error) {
    if (lifecycle.stopping) return;
    lifecycle.stop(`${message(error)}\nNot started`, error instanceof Error && error.name === 'StartError' ? 2 : 1);
  }
}
