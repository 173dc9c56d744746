import type { Config } from '../../config.js';
import { PROVIDERS, type ProviderName } from '../../contracts/providers.js';
import type { Logger } from '../../telemetry/log.js';
import { listen, type RunningServer } from '../http/service.js';
import { createStub } from './server.js';

export interface RunningStubs {
  ports: Record<ProviderName, number>;
  /** Stops taking connections and waits for answers in progress, at most `graceMs`; hanging ones are cut then. */
  close(graceMs: number): Promise<void>;
}

/** Starts the three provider stubs; those that started are closed again when one can't. @throws Error naming a taken port */
export async function startStubs({ config, log }: { config: Config; log: Logger }): Promise<RunningStubs> {
  const started = await Promise.allSettled(
    PROVIDERS.map((provider) => {
      const stub = createStub({
        provider,
        model: config.providers[provider].model,
        latencyMs: config.stubLatencyMs,
        bodyLimitBytes: config.http.bodyLimitBytes,
        log,
      });
      return listen(stub, config.host, config.ports.stubs[provider], config.http);
    }),
  );
  const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const close = async (graceMs: number) => {
    await Promise.all(servers.map((server) => server.close(graceMs)));
  };
  const failure = started.find((result) => result.status === 'rejected');
  if (failure) {
    await close(0);
    throw failure.reason;
  }
  const ports = Object.fromEntries(PROVIDERS.map((provider, index) => [provider, (servers[index] as RunningServer).port]));
  return { ports: ports as Record<ProviderName, number>, close };
}
