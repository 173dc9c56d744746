import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { freePort } from '../../embedded/ports.js';
import { answering, cleanEnvironment, startChild } from '../children.js';
import type { Beside } from '../stage.js';
import { installed } from './install.js';

const VERSION = '1.106.2';

/** Its own default, and what its documentation advises for production */
export const LITELLM_WORKERS = { litellm: 1, 'litellm per core': availableParallelism() };

/** LiteLLM's proxy with one model, and neither database nor keys: nothing is accounted for. */
export async function startLiteLlm(providerUrl: string, workers: number, say: (line: string) => void): Promise<Beside> {
  const folder = await installed(`litellm-${VERSION}`, say, async (_folder, run) => {
    await run('python3', ['-m', 'venv', 'venv']);
    await run('venv/bin/pip', ['install', '--quiet', '--disable-pip-version-check', `litellm[proxy]==${VERSION}`]);
  });
  const config = path.join(folder, 'config.yaml');
  writeFileSync(config, CONFIG(providerUrl));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild({
    name: 'litellm',
    command: path.join(folder, 'venv/bin/litellm'),
    args: ['--config', config, '--host', '127.0.0.1', '--port', String(port), '--num_workers', String(workers), '--telemetry', 'False'],
    environment: { ...cleanEnvironment(), ...SETTINGS },
    cwd: folder,
    ready: answering(`${url}/health/liveliness`),
  });
  return { ...child, url };
}

const SETTINGS = {
  LITELLM_LOG: 'ERROR',
  // Its price list is the one in the package, not one from the network.
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  // Without a key that callers must have, it would refuse to start; checking one would only cost it.
  LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
};

const CONFIG = (providerUrl: string) => `model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: ${providerUrl}
      api_key: stub
litellm_settings:
  telemetry: false
  set_verbose: false
`;
