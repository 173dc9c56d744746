import autocannon, { type Client, type Options } from 'autocannon';
import type { LoadJob } from './load.js';
import { LoadSummary } from './load-summary.js';

/** Each connection starts with another request of the list and has this many of them, or more if a long list takes it. */
const REQUESTS_PER_CONNECTION = 16;
const TIMEOUT_SECONDS = 60;
/** How soon autocannon sees that all connections are done; it is for nothing else here */
const NOTICE_END_MS = 50;
/** Only a bound: the run ends when every connection has its last answer */
const LONGEST_SECONDS = 3_600;

/** What autocannon's client has and its types do not tell: how many answers make it stop. */
type StoppableClient = Client & { responseMax?: number };

process.once('message', (message) => {
  run(message as LoadJob);
});

/** A fixed number of requests in flight, by autocannon. */
function run(job: LoadJob): void {
  const clients: StoppableClient[] = [];
  const summary = new LoadSummary();
  let began = 0;
  let last = 0;
  const requests = job.requests.map(({ method, path, headers, body }) => ({
    method,
    path,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body }),
  }));
  const share = Math.min(requests.length, Math.max(REQUESTS_PER_CONNECTION, Math.ceil(requests.length / job.connections)));
  const finish = (error: Error | null, { errors }: { errors: number }) => {
    if (error) throw error;
    summary.unanswered = errors;
    process.send?.(summary.result((last - began) / 1_000), () => process.exit());
  };
  const options: Options = {
    url: job.url,
    connections: job.connections,
    duration: LONGEST_SECONDS,
    timeout: TIMEOUT_SECONDS,
    sampleInt: NOTICE_END_MS,
    requests: requests.slice(0, 1),
    setupClient: (client) => {
      const first = clients.push(client) * share;
      client.setRequests(Array.from({ length: share }, (_, index) => requests[(first + index) % requests.length] ?? {}));
    },
  };
  const instance = autocannon(options, finish);
  // Not before: a long list takes its time to be made into bytes.
  began = performance.now();
  instance.on('response', (_client, status, _bytes, latencyMs) => {
    last = performance.now();
    summary.add(status, latencyMs);
  });
  setTimeout(() => {
    for (const client of clients) client.responseMax = 1;
  }, job.seconds * 1_000);
}
