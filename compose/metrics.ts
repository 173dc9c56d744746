import { listen } from '../api/http/service.js';
import type { Config } from '../config.js';
import { metricsOnly } from '../telemetry/exposition.js';

const CLOSE_MS = 1_000;

/** The metrics' own port, when there is one. Opened before the parts of a process and closed after them, so that their start and end are seen. */
export async function serveMetrics({ host, telemetry }: Config): Promise<{ port: number; stop(): Promise<void> } | null> {
  if (telemetry.metricsPort === undefined) return null;
  const server = await listen(metricsOnly, host, telemetry.metricsPort);
  return { port: server.port, stop: () => server.close(CLOSE_MS) };
}
