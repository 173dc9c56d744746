import { Router } from 'express';
import { isDraining } from './draining.js';

/** Each resolves when what it names has answered. */
export type Checks = Readonly<Record<string, () => Promise<unknown>>>;

const CHECK_TIMEOUT_MS = 2_000;

/**
 * For the three probes of an orchestrator:
 *
 *   /health/live     the process answers; failing means: start it anew. Asks no dependency, as a new process would not mend one.
 *   /health/startup  503 until all checks have passed once; until then the other two are not asked
 *   /health/ready    503 while a check fails or the process drains; failing means: send nothing here
 */
export function healthRoutes(service: string, checks: Checks): Router {
  const router = Router();
  let started = false;
  const body = (ok: boolean, results?: Record<string, string>) => ({
    service,
    status: ok ? 'ok' : 'unavailable',
    ...(results && { checks: results }),
    timestamp: new Date().toISOString(),
  });
  router.get('/health/live', (_req, res) => {
    res.json(body(true));
  });
  router.get('/health/startup', async (_req, res) => {
    const { ok, results } = started ? { ok: true, results: {} } : await runChecks(checks);
    started ||= ok;
    res.status(ok ? 200 : 503).json(body(ok, results));
  });
  router.get('/health/ready', async (_req, res) => {
    const { ok, results } = await runChecks(checks);
    const ready = ok && !isDraining();
    started ||= ok;
    res.status(ready ? 200 : 503).json(body(ready, isDraining() ? { ...results, process: 'is about to end' } : results));
  });
  return router;
}

/** At the same time, none for longer than its limit: a probe that waits says nothing. */
async function runChecks(checks: Checks): Promise<{ ok: boolean; results: Record<string, string> }> {
  const answers = await Promise.all(Object.entries(checks).map(async ([name, check]) => [name, await outcome(check)] as const));
  return { ok: answers.every(([, answer]) => answer === 'ok'), results: Object.fromEntries(answers) };
}

async function outcome(check: () => Promise<unknown>): Promise<string> {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no answer in ${CHECK_TIMEOUT_MS / 1000} s`)), CHECK_TIMEOUT_MS).unref();
  });
  try {
    await Promise.race([check(), late]);
    return 'ok';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
