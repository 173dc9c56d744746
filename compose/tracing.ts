import type { Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import { installTracer } from '../telemetry/tracing.js';
import { packageVersion } from './build-id.js';

/** Starts the traces when they are asked for; nothing of OpenTelemetry is loaded otherwise. To be called before anything that is traced. */
export async function startTracing({ telemetry }: Config, serviceName: string, log: Logger): Promise<(() => Promise<void>) | null> {
  const { otlpEndpoint, otlpHeaders, traceRatio } = telemetry;
  if (otlpEndpoint === undefined) return null;
  const { createTracer } = await import('../telemetry/otel.js');
  const tracer = createTracer({
    endpoint: otlpEndpoint,
    headers: otlpHeaders,
    ratio: traceRatio,
    serviceName,
    version: packageVersion(),
    log,
  });
  installTracer(tracer);
  return async () => {
    installTracer(null);
    // A collector that is away must not keep the process: it has waited its time-out, and what is lost are traces.
    await tracer.stop().catch((error: unknown) => log.warn({ err: error }, 'the last traces could not be sent'));
  };
}
