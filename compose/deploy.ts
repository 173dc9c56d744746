import { ConfigError } from '../config.js';
import { describeDeployment, promote, ramp } from '../temporal-config/deployment.js';
import type { Finding } from '../temporal-config/finding.js';
import type { Resources } from './resources.js';
import { workerVersion } from './temporal.js';

const PATIENCE_MS = 60_000;

export interface PromoteOptions {
  /** Unset: the version of this build */
  buildId?: string | undefined;
  /** Only this share of the workflows, in percent; unset: all */
  ramp?: number | undefined;
}

/** Makes a version of the workers the one that gets the work. Idempotent. */
export async function runPromote(resources: Resources, { buildId, ramp: percentage }: PromoteOptions): Promise<Finding> {
  if (percentage !== undefined && !(percentage >= 0 && percentage <= 100)) throw new ConfigError('--ramp: a percentage from 0 to 100');
  const { connection, namespace } = await resources.temporal();
  const own = workerVersion(resources.config);
  const version = { ...own, buildId: buildId ?? own.buildId };
  return percentage === undefined ? promote(connection, namespace, version, PATIENCE_MS) : ramp(connection, namespace, version, percentage);
}

/** Lines for an operator: which versions there are, which one works, which ones can go. */
export async function deploymentStatus(resources: Resources): Promise<string[]> {
  const { connection, namespace } = await resources.temporal();
  const { deploymentName, buildId } = workerVersion(resources.config);
  const state = await describeDeployment(connection, namespace, deploymentName);
  if (!state) return [`No worker of the deployment ${deploymentName} has polled; this build is ${buildId}`];
  return [
    `Deployment ${deploymentName}; this build is ${buildId}`,
    ...state.versions.map((version) => {
      const share = state.ramping?.buildId === version.buildId ? ` (${state.ramping.percentage} %)` : '';
      return `  ${version.buildId}  ${version.status}${share}`;
    }),
  ];
}
