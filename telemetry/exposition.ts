import type { RequestListener } from 'node:http';
import { registry } from './metrics.js';

const pages: string[] = [];
const PATIENCE_MS = 2_000;

/** Makes what another exporter of this process shows part of ours. Its metric names must differ from ours. */
export function addMetricsPage(url: string): void {
  pages.push(url);
}

/** All metrics of the process in Prometheus' text format. A page that does not answer is left out, and a comment says so. */
export async function exposition(): Promise<string> {
  const parts = await Promise.all([registry.metrics(), ...pages.map(pageAt)]);
  return parts.join('\n');
}

async function pageAt(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return await response.text();
  } catch (error) {
    return `# ${url} does not answer: ${error instanceof Error ? error.message.replaceAll('\n', ' ') : String(error)}\n`;
  }
}

/** Serves /metrics alone: for the port that only the monitoring reaches. */
export const metricsOnly: RequestListener = (req, res) => {
  if (req.method !== 'GET' || req.url?.split('?', 1)[0] !== '/metrics') {
    res.writeHead(404).end();
    return;
  }
  exposition().then(
    (text) => res.writeHead(200, { 'content-type': registry.contentType }).end(text),
    () => res.writeHead(500).end(),
  );
};
