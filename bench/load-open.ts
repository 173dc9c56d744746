import { Client } from 'undici';
import type { LoadJob, LoadRequest } from './load.js';
import { LoadSummary } from './load-summary.js';

const TIMEOUT_MS = 60_000;
/** Of the time, its last part: at the beginning the first answers are still on their way */
const COUNTED_SHARE = 0.8;
/** Connections that are opened at the same time, before the load begins */
const OPENED_TOGETHER = 20;

process.once('message', (message) => {
  void run(message as LoadJob);
});

/**
 * A fixed rate: each request has its time, whatever became of the earlier ones, and its latency counts from that time. Not
 * autocannon, whose rates come in bursts at the start of each second and whose correction takes every interval for 1 ms.
 * Its connections are open before, as those of callers are who keep them: Node accepts one new connection in each turn of its
 * event loop, so that thousands at once would be what is measured.
 */
async function run(job: LoadJob): Promise<void> {
  const { rate = 1, seconds } = job;
  const summary = new LoadSummary();
  const idle = await openConnections(job);
  const waiting: number[] = [];
  let open = 0;
  let finished: () => void = () => undefined;
  const total = Math.round(rate * seconds);
  const began = performance.now();
  const ends = began + seconds * 1_000;
  const counting = ends - seconds * 1_000 * COUNTED_SHARE;
  let counted = 0;
  const intended = (index: number) => began + (index * 1_000) / rate;

  const release = (client: Client) => {
    open--;
    const next = waiting.shift();
    if (next === undefined) idle.push(client);
    else send(client, next);
    if (open === 0) finished();
  };
  const send = (client: Client, index: number) => {
    open++;
    const { method, path, headers, body } = job.requests[index % job.requests.length] as LoadRequest;
    let status = 0;
    client.dispatch(
      { method, path, headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, body: body ?? null },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, statusCode, responseHeaders) => {
          status = statusCode;
          if (statusCode === 503 && responseHeaders['retry-after'] === undefined) summary.withoutRetryAfter++;
        },
        onResponseData: () => undefined,
        onResponseEnd: () => {
          const now = performance.now();
          if (status >= 200 && status < 300 && now > counting && now <= ends) counted++;
          summary.add(status, now - intended(index));
          release(client);
        },
        onResponseError: () => {
          summary.unanswered++;
          release(client);
        },
      },
    );
  };

  let next = 0;
  while (next < total) {
    for (; next < total && intended(next) <= performance.now(); next++) {
      const client = idle.pop();
      if (client) send(client, next);
      else waiting.push(next);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (open > 0) await new Promise<void>((resolve) => (finished = resolve));
  const goodput = counted / (seconds * COUNTED_SHARE);
  process.send?.(summary.result((performance.now() - began) / 1_000, goodput), () => process.exit());
}

async function openConnections({ url, connections }: LoadJob): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < connections) {
    const next = Array.from(
      { length: Math.min(OPENED_TOGETHER, connections - clients.length) },
      () => new Client(url, { pipelining: 1, bodyTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS }),
    );
    await Promise.all(next.map(async (client) => (await client.request({ method: 'GET', path: '/health/live' })).body.dump()));
    clients.push(...next);
  }
  return clients;
}
