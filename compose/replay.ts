import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { isGrpcServiceError } from '@temporalio/client';
import { connectTemporal } from '../adapters/temporal/connection.js';
import { describeHistory, HistoryFormatError, readHistory, type History } from '../adapters/temporal/history-json.js';
import type { Config } from '../config.js';
import { StartError } from '../embedded/start-error.js';
import { distRoot, projectRoot } from '../root.js';
import { createLogger } from '../telemetry/log.js';
import { installTemporalRuntime } from '../telemetry/temporal-runtime.js';
import { createDataConverter } from '../temporal-config/data-converter.js';
import { replayHistories, type RecordedHistory } from '../workers/replay.js';
import { payloadKeys, temporalOptions } from './temporal.js';

export interface ReplayOptions {
  /** Workflow ids, files and folders of JSON; none: the recordings of the tests */
  sources: readonly string[];
  /** Which run of the one workflow id; unset: the latest */
  runId?: string;
  /** Workflow code to replay on; unset: the bundle of the build */
  bundle?: string;
}

const RECORDINGS = path.join(projectRoot, 'test/replay/histories');
const PATIENCE_MS = 3_000;

/** gRPC INVALID_ARGUMENT and NOT_FOUND: an id that is none, or that nothing has. */
const CALLERS_FAULT: readonly number[] = [3, 5];

/** Replays histories on the current workflows and prints a line for each. @returns whether all of them replayed */
export async function runReplay(config: Config, { sources, runId, bundle }: ReplayOptions): Promise<boolean> {
  if (runId && (sources.length !== 1 || !isWorkflowId(sources[0] ?? ''))) throw new StartError('--run-id needs exactly one workflow id');
  if (bundle && !existsSync(bundle)) throw new StartError(`There is no bundle ${bundle}`);
  installTemporalRuntime(createLogger('silent'));
  const recorded = (await Promise.all((sources.length > 0 ? sources : [RECORDINGS]).map((source) => load(config, source, runId)))).flat();

  let failed = 0;
  // Only to read: a replay sends nothing, and why it failed is for the person before the screen.
  const keys = payloadKeys(config);
  const dataConverter = createDataConverter(keys && { ...keys, active: null });
  const code = bundle ? path.resolve(bundle) : path.join(distRoot, 'workflow-bundle.js');
  const replays = replayHistories(code, recorded, dataConverter);
  for await (const { recording, ok, detail } of replays) {
    const { workflowType, events, decisions } = describeHistory(recording.history);
    const about = `${recording.name}  ${workflowType}, ${events} events`;
    if (!ok) failed++;
    const outcome = decisions > 0 ? '' : '  (no workflow task was completed: there is nothing to compare)';
    process.stdout.write(ok ? `ok    ${about}${outcome}\n` : `FAIL  ${about}\n      ${detail}\n`);
  }
  process.stdout.write(`${recorded.length} replayed, ${recorded.length - failed} ok, ${failed} failed\n`);
  if (failed > 0) process.stdout.write(ADVICE);
  return failed === 0;
}

const ADVICE = 'Executions like these would stop at this point after a deployment: see docs/decisions/0006-replay-and-versioning.md\n';

const isWorkflowId = (source: string) => !existsSync(source) && !source.endsWith('.json') && !source.includes('/');

async function load(config: Config, source: string, runId: string | undefined): Promise<RecordedHistory[]> {
  if (isWorkflowId(source)) return [{ name: source, workflowId: source, history: await fetchHistory(config, source, runId) }];
  if (!existsSync(source)) throw new StartError(`There is no file ${path.resolve(source)}`);
  return filesOf(source).map((file) => {
    const history = historyIn(file);
    const name = path.basename(file);
    return { name, history, workflowId: describeHistory(history).workflowId ?? path.basename(file, '.json') };
  });
}

function filesOf(source: string): string[] {
  if (!statSync(source).isDirectory()) return [source];
  const files = readdirSync(source)
    .filter((name) => name.endsWith('.json'))
    .sort();
  if (files.length === 0) throw new StartError(`There is no .json file in ${path.resolve(source)}`);
  return files.map((name) => path.join(source, name));
}

function historyIn(file: string): History {
  try {
    return readHistory(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof HistoryFormatError) throw new StartError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function fetchHistory(config: Config, workflowId: string, runId: string | undefined): Promise<History> {
  const { temporal } = config;
  const { address, namespace, ...options } = temporalOptions(config, temporal.address || `127.0.0.1:${temporal.embeddedPort}`);
  const { client, close } = await connectTemporal({ address, namespace, ...options, patienceMs: PATIENCE_MS }).catch((error: unknown) => {
    const remedy = temporal.address ? 'See LEAKY_TEMPORAL_ADDRESS.' : 'Run npm start, set LEAKY_TEMPORAL_ADDRESS, or name a file.';
    throw new StartError(`${error instanceof Error ? error.message : String(error)}. ${remedy}`, { cause: error });
  });
  try {
    return await client.workflow.getHandle(workflowId, runId).fetchHistory();
  } catch (error) {
    if (isGrpcServiceError(error) && CALLERS_FAULT.includes(error.code)) {
      throw new StartError(`Temporal at ${address}, namespace ${namespace}: ${error.details || error.message}`, { cause: error });
    }
    throw error;
  } finally {
    await close();
  }
}
