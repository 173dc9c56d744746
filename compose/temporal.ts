import type { Temporal, TemporalOptions } from '../adapters/temporal/connection.js';
import { ConfigError, type Config } from '../config.js';
import { createDataConverter } from '../temporal-config/data-converter.js';
import type { PayloadKeys } from '../temporal-config/payload-codec.js';
import type { CreateWorkerOptions } from '../workers/create-worker.js';
import { builtId } from './build-id.js';

/** How this configuration reaches its Temporal server. @throws ConfigError */
export function temporalOptions(config: Config, address = config.temporal.address): Omit<TemporalOptions, 'patienceMs'> {
  if (!address) throw new ConfigError('LEAKY_TEMPORAL_ADDRESS: required here (host:port of the Temporal server)');
  const { namespace, tls, apiKey } = config.temporal;
  return { address, namespace, tls, apiKey, dataConverter: createDataConverter(payloadKeys(config)) };
}

/** null: nothing is to be encrypted or decrypted. That it is clear which key encrypts is a rule of the configuration. */
export function payloadKeys({ payloads: { keys, activeKey } }: Config): PayloadKeys | null {
  const [first] = keys.keys();
  if (first === undefined) return null;
  const active = activeKey ?? first;
  return {
    keys: new Map([...keys].map(([id, hex]) => [id, Buffer.from(hex, 'hex')])),
    active: active === 'none' ? null : active,
  };
}

export interface WorkerVersion {
  deploymentName: string;
  buildId: string;
}

/** The version that workers of this build have when versioning is on. */
export const workerVersion = ({ temporal: { versioning } }: Config): WorkerVersion => ({
  deploymentName: versioning.deploymentName,
  buildId: versioning.buildId ?? builtId(),
});

/** What every worker of this process has in common. */
export function workerBase(
  { connection, namespace, dataConverter }: Temporal,
  config: Config,
): Pick<CreateWorkerOptions, 'connection' | 'namespace' | 'dataConverter' | 'version' | 'shutdownGraceMs'> {
  const version = config.temporal.versioning.enabled ? workerVersion(config) : undefined;
  return { connection, namespace, dataConverter, version, shutdownGraceMs: config.shutdownGraceMs };
}
