import { fork } from 'node:child_process';
import path from 'node:path';
import { distRoot } from '../root.js';

/** One request that is sent again and again. */
export interface LoadRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: string;
}

export interface LoadJob {
  /** Origin */
  url: string;
  /** Taken in turn, so that every user of a list gets the same share of the load */
  requests: readonly LoadRequest[];
  /** Closed loop: requests in flight. Open loop: the most connections it may open */
  connections: number;
  seconds: number;
  /** Requests a second at fixed times, whether or not earlier ones were answered; unset: closed loop */
  rate?: number;
}

export interface LoadResult {
  ok: number;
  /** By status, of those that were not 2xx */
  refused: Record<string, number>;
  /** Of the refused, those without Retry-After */
  withoutRetryAfter: number;
  /** Broken connections and time-outs: nobody knows how those ended */
  unanswered: number;
  seconds: number;
  /** Open loop: of the answers that came while requests were sent, without the first fifth of that time */
  opsPerSecond: number;
  /** Of the 2xx. Open loop: from the intended time of sending */
  p50Ms: number;
  p99Ms: number;
  /** Of the others; 0 when there were none */
  refusedP99Ms: number;
}

/** Makes the load in a process of its own. No request is cut off at the end: the last ones are waited for. */
export function runLoad(job: LoadJob): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const program = path.join(distRoot, job.rate === undefined ? 'bench/load-closed.js' : 'bench/load-open.js');
    const child = fork(program, { execArgv: [], stdio: 'inherit' });
    let result: LoadResult | undefined;
    child.once('message', (message) => (result = message as LoadResult));
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (result) resolve(result);
      else reject(new Error(`A load process ended with ${signal ?? code} and no result`));
    });
    child.send(job);
  });
}
