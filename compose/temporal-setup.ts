import type { Finding } from '../temporal-config/finding.js';
import { setUpTemporal } from '../temporal-config/setup.js';
import { schedules } from './schedules.js';
import type { SetupStep } from './setup.js';
import { payloadKeys, workerVersion } from './temporal.js';

/** Everything that the configured Temporal server must have. Fails when something is left that only a person can do. */
export const temporalStep: SetupStep = {
  name: 'Temporal',
  wanted: (config) => config.temporal.address !== undefined,
  async run(resources, say) {
    const { config } = resources;
    const { retentionDays, versioning } = config.temporal;
    const findings = await setUpTemporal(await resources.temporal(), {
      retentionDays,
      schedules: schedules(config),
      activeKey: payloadKeys(config)?.active ?? null,
      version: versioning.enabled ? workerVersion(config) : null,
    });
    findings.forEach((finding) => say(describe(finding)));
    const left = findings.filter(({ state }) => state === 'by hand');
    if (left.length > 0) throw new Error(`to be done by hand, as said above: ${left.map(({ what }) => what).join(', ')}`);
    return findings.filter(({ state }) => state === 'created' || state === 'updated').map(({ what }) => what);
  },
};

/** `created     search attribute LeakyUserId` */
export const describe = ({ what, state, detail }: Finding): string => `${state.padEnd(10)}  ${what}${detail ? `: ${detail}` : ''}`;
