import { listen } from '../api/http/service.js';
import type { Config } from '../config.js';
import { reportCertificate } from '../telemetry/certificates.js';
import { metricsOnly } from '../telemetry/exposition.js';

const CLOSE_MS = 1_000;

/** Operators are to hear of a certificate before it ends. Those of PostgreSQL are files that its driver reads, named in the address. */
export function reportCertificates({ temporal, redis, kafka, cassandra }: Config): void {
  for (const [use, { tls }] of Object.entries({ temporal, redis, kafka, cassandra })) {
    if (tls?.cert) reportCertificate(use, 'client', tls.cert);
    if (tls?.ca) reportCertificate(use, 'ca', tls.ca);
  }
}

/** The metrics' own port, when there is one. Opened before the parts of a process and closed after them, so that their start and end are seen. */
export async function serveMetrics({ host, http, telemetry }: Config): Promise<{ port: number; stop(): Promise<void> } | null> {
  if (telemetry.metricsPort === undefined) return null;
  const server = await listen(metricsOnly, host, telemetry.metricsPort, http);
  return { port: server.port, stop: () => server.close(CLOSE_MS) };
}
