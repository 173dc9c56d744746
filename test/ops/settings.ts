import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadConfig, type Config } from '../../config.js';
import { environmentSchema } from '../../config/sections.js';
import { projectRoot } from '../../root.js';

export const read = (file: string) => readFileSync(path.join(projectRoot, file), 'utf8');
export const { version } = JSON.parse(read('package.json')) as { version: string };

/** What the deployment files may rely on: the ports when nobody sets one. */
export const defaults = loadConfig({});

/** The port on which a command serves, by the configuration's own names. */
export function portOf(command: string, config: Config = defaults): number {
  if (command.startsWith('codec')) return config.codec.port;
  if (command === 'stubs') return config.ports.stubs.openai;
  const port = (config.ports as unknown as Record<string, number | undefined>)[command];
  assert.ok(port !== undefined, `the configuration has no port of ${command}`);
  return port;
}

const known = environmentSchema.shape as Record<string, { meta(): { secret?: string } | undefined } | undefined>;

/** Variables of ours that the configuration does not know; NAME_FILE stands for NAME. */
export const unknown = (names: readonly string[]) =>
  names.filter((name) => name.startsWith('LEAKY_') && !known[name] && !known[name.replace(/_FILE$/, '')]);

export const isSecret = (name: string) => known[name]?.meta()?.secret !== undefined;

/** Values that secrets by reference may have, so that the rest of a configuration can be parsed. */
export const STAND_INS: Record<string, string> = {
  LEAKY_MASTER_KEY: 'ab'.repeat(32),
  LEAKY_PAYLOAD_KEYS: `k1:${'cd'.repeat(32)}`,
  LEAKY_POSTGRES_URL: 'postgres://leaky:stand-in-for-it@postgres:5432/leaky',
  LEAKY_REDIS_URL: 'redis://:stand-in-for-it@redis:6379',
};
export const standIn = (name: string) => STAND_INS[name] ?? 'stand-in-for-a-secret';

/** An image that names a version: not `latest`, not only a major one. */
export const isPinned = (image: string) => /:v?\d+\.\d+[\w.-]*$/.test(image);
