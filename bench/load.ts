import autocannon from 'autocannon';

/** One load run, described by the JSON in the first argument; the result is printed as JSON. A process of its own. */
export interface LoadJob {
  url: string;
  headers: Record<string, string>;
  bodies: string[];
  connections: number;
  durationSeconds: number;
}

export interface LoadResult {
  ok: number;
  notOk: number;
  seconds: number;
  opsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

const job = JSON.parse(process.argv[2] ?? '{}') as LoadJob;
let next = 0;
const result = await autocannon({
  url: job.url,
  connections: job.connections,
  duration: job.durationSeconds,
  timeout: 60,
  requests: [
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...job.headers },
      // Spread over the bodies by request, not by connection, so that every pool gets the same load.
      setupRequest: (request: object) => ({ ...request, body: job.bodies[next++ % job.bodies.length] }),
    },
  ],
});
const loadResult: LoadResult = {
  ok: result['2xx'],
  notOk: result.non2xx + result.errors,
  seconds: result.duration,
  opsPerSecond: result['2xx'] / result.duration,
  p50Ms: result.latency.p50,
  p99Ms: result.latency.p99,
};
process.stdout.write(JSON.stringify(loadResult));
