import assert from 'node:assert/strict';
import { createResources, type Resources } from '../../compose/resources.js';
import { setUp } from '../../compose/setup.js';
import { loadConfig } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { startTestTemporalCluster } from '../support/temporal-cluster.js';

describe('leaky setup', function () {
  this.timeout(180_000);
  let resources: Resources;
  before(async () => {
    const config = loadConfig({
      LEAKY_TEMPORAL_ADDRESS: await startTestTemporalCluster(),
      LEAKY_TEMPORAL_NAMESPACE: `setup-${Date.now()}`,
    });
    resources = createResources({ config, log: createLogger('silent') });
  });
  after(() => resources.close());

  const run = async (): Promise<string[]> => {
    const lines: string[] = [];
    await setUp(resources, (line) => lines.push(line));
    return lines;
  };

  it('makes what is missing, says so, and finds nothing to do the second time', async () => {
    const first = await run();
    assert.match(first.at(-1) ?? '', /^Temporal: made namespace setup-\d+, search attribute Leaky/);
    const second = await run();
    assert.equal(second.at(-1), 'Temporal: is set up');
    const findings = second.slice(0, -1);
    assert.equal(findings.length, first.length - 1);
    assert.deepEqual(
      findings.filter((line) => !line.startsWith('as wanted ')),
      [],
    );
  });

  it('names the server that it cannot reach', async () => {
    const config = loadConfig({ LEAKY_TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const unreachable: Resources = { ...resources, config, temporal: () => Promise.reject(new Error('No Temporal server answers')) };
    await assert.rejects(
      setUp(unreachable, () => undefined),
      /Setting up Temporal failed: No Temporal server answers/,
    );
  });
});
