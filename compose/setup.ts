import type { Config } from '../config.js';
import { cassandraSetup } from './cassandra.js';
import { kafkaSetup } from './kafka.js';
import type { Resources } from './resources.js';
import { temporalStep } from './temporal-setup.js';

/** Makes what one server of the full stack must have before the services start: a namespace, topics, a keyspace. */
export interface SetupStep {
  /** Of the server, for messages */
  name: string;
  /** Whether that server is part of this topology */
  wanted(config: Config): boolean;
  /** Idempotent, also when two run at once; may `say` what it finds. Resolves with a line for each thing that it made or changed. */
  run(resources: Resources, say: (line: string) => void): Promise<string[]>;
}

/** In this order. The schema of PostgreSQL is the business of `leaky migrate`. */
const STEPS: readonly SetupStep[] = [temporalStep, kafkaSetup, cassandraSetup];

/** Runs the steps of the servers that are configured. @throws Error naming the server whose step failed */
export async function setUp(resources: Resources, say: (line: string) => void): Promise<void> {
  const wanted = STEPS.filter((step) => step.wanted(resources.config));
  if (wanted.length === 0) say('No server of the full stack is configured: nothing to set up');
  for (const step of wanted) {
    const made = await step.run(resources, say).catch((error: unknown) => {
      throw new Error(`Setting up ${step.name} failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
    say(made.length > 0 ? `${step.name}: made ${made.join(', ')}` : `${step.name}: is set up`);
  }
}
