import { spawn } from 'node:child_process';
import path from 'node:path';
import { PostgresClient } from './client.js';

/** pg_dump and pg_restore are missing or too old for the server; the message says what to do. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}

export interface PostgresTools {
  /** Runs one of them on the database; what it says goes to stderr. @throws ToolError when it fails */
  run(tool: 'pg_dump' | 'pg_restore', args: readonly string[], url: string): Promise<void>;
}

/** Of the connection attempt; the work itself takes as long as the database is large. */
const CONNECT_TIMEOUT_SECONDS = '10';

/** @param folder where they are; undefined: on PATH @throws ToolError unless both are there and not older than the server */
export async function findPostgresTools(folder: string | undefined, searchPath: string, url: string): Promise<PostgresTools> {
  const commandOf = (tool: string) => (folder ? path.join(folder, tool) : tool);
  const server = await serverMajor(url);
  for (const tool of ['pg_dump', 'pg_restore']) {
    const found = await majorOf(commandOf(tool), searchPath);
    if (found !== null && found >= server) continue;
    const what = found === null ? `${commandOf(tool)} is not installed` : `${commandOf(tool)} is of PostgreSQL ${found}`;
    throw new ToolError(
      // Distributions have one version, and mostly an older one.
      `${what}, the server is PostgreSQL ${server}: fetch its client tools with \`scripts/servers/postgres-tools.sh install\`, which prints ` +
        `their folder, and name that in LEAKY_POSTGRES_TOOLS_DIR (or install postgresql-client-${server} from https://apt.postgresql.org)`,
    );
  }
  return {
    run: async (tool, args, database) => {
      // The password goes by the environment: arguments can be seen by every user of the machine.
      const address = new URL(database);
      const password = decodeURIComponent(address.password);
      address.password = '';
      const env = { PATH: searchPath, PGPASSWORD: password, PGCONNECT_TIMEOUT: CONNECT_TIMEOUT_SECONDS };
      const code = await ended(
        spawn(commandOf(tool), [...args, `--dbname=${address.href}`], { env, stdio: ['ignore', 'ignore', 'inherit'] }),
      );
      if (code !== 0) throw new ToolError(`${tool} has failed (exit status ${code}); its words are above`);
    },
  };
}

const ended = (child: ReturnType<typeof spawn>): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });

/** null: there is no such program. */
function majorOf(command: string, searchPath: string): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(command, ['--version'], { env: { PATH: searchPath }, stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    child.once('error', () => resolve(null));
    child.once('close', () => resolve(Number(/\) (\d+)/.exec(text)?.[1] ?? NaN) || null));
  });
}

async function serverMajor(url: string): Promise<number> {
  const client = new PostgresClient({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  } finally {
    await client.end();
  }
}
