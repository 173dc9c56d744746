import type { RequestListener } from 'node:http';
import { registry } from './metrics.js';

const pages: string[] = [];
const PATIENCE_MS = 2_000;

/** Makes what another exporter of this process shows part of ours. Its metric names must differ from ours. */
export function addMetricsPage(url: string): void {
  pages.push(url);
}

/** Pages made in a second at most; whoever asks more often gets the last one again. It has hundreds of kilobytes. */
const RENDERINGS_PER_SECOND = 5;
const renderedAt: number[] = [];
let last: Promise<string> | undefined;

/** The text of `exposition`, not older than a second. */
export function currentExposition(): Promise<string> {
  const now = performance.now();
  while (renderedAt[0] !== undefined && now - renderedAt[0] >= 1_000) renderedAt.shift();
  if (last && renderedAt.length >= RENDERINGS_PER_SECOND) return last;
  renderedAt.push(now);
  const page = exposition();
  last = page;
  page.catch(() => (last = undefined));
  return page;
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
  currentExposition().then(
    (text) => res.writeHead(200, { 'content-type': registry.contentType }).end(text),
    () => res.writeHead(500).end(),
  );
};
