import { healthRoutes, type Checks } from '../api/http/health.js';
import { listen } from '../api/http/service.js';
import { metricsOnly } from '../telemetry/exposition.js';
import type { Resources } from './resources.js';
import { group, serverPart, type Compose } from './service.js';
import { composeWorkers } from './workers.js';
import express from 'express';

/**
 * `leaky worker`: the workers and a small server for probes and metrics, as they have no API of their own. It listens before the
 * workers start and after they have stopped, so that a long start or end does not look like a dead process.
 */
export const composeWorkerProcess: Compose = async (resources) => {
  let workers: Checks = { workers: () => Promise.reject(new Error('not started yet')) };
  const server = await listenForProbes(resources, () => workers);
  try {
    const running = await composeWorkers(resources);
    workers = running.checks ?? {};
    return group('workers', [serverPart('health', server, resources), running]);
  } catch (error) {
    await server.close(0);
    throw error;
  }
};

/** Ready: the database and Temporal answer, and the server has seen every worker poll its queue. */
function listenForProbes(resources: Resources, workers: () => Checks) {
  const { config } = resources;
  const app = express().disable('x-powered-by');
  const everyWorker = () => Promise.all(Object.values(workers()).map((check) => check()));
  app.use(
    healthRoutes('worker', {
      postgres: () => resources.database().query('SELECT 1'),
      temporal: async () => (await resources.temporal()).connection.healthService.check({}),
      queues: everyWorker,
    }),
  );
  app.get('/metrics', (req, res) => (config.telemetry.metricsPort === undefined ? metricsOnly(req, res) : void res.sendStatus(404)));
  return listen(app, config.host, config.ports.worker, config.http);
}
