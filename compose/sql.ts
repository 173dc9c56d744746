import { PostgresClient } from '../adapters/postgres/client.js';
import { ToolError } from '../adapters/postgres/tools.js';
import type { Config } from '../config.js';
import { withDatabaseUrl } from '../embedded/borrow-postgres.js';

const STATEMENT_TIMEOUT_MS = 60_000;
const MOST_ROWS = 1_000;
const READ_ONLY = '25006';

export interface SqlOptions {
  /** Else the transaction is read-only: a statement that changes something is refused */
  write: boolean;
  json: boolean;
}

/** One statement on the configured database, or on the embedded one, which comes without psql. @returns what to print */
export function runSql(config: Config, statement: string, { write, json }: SqlOptions): Promise<string> {
  return withDatabaseUrl(config, async (url) => {
    const client = new PostgresClient({ connectionString: url, connectionTimeoutMillis: 5_000, statement_timeout: STATEMENT_TIMEOUT_MS });
    await client.connect();
    try {
      await client.query(write ? 'BEGIN' : 'BEGIN READ ONLY');
      // With parameters the server takes one statement: none that ends the transaction and begins another.
      const query = { text: statement, queryMode: 'extended' };
      const { rows, rowCount, command } = await client.query<Record<string, unknown>>(query);
      await client.query('COMMIT');
      if (json) return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
      return rows.length > 0 ? table(rows) : `${command} ${rowCount ?? 0}\n`;
    } catch (error) {
      const { code, hint } = error as { code?: string; hint?: string };
      if (!code) throw error;
      const advice = code === READ_ONLY ? 'say --write to change something' : hint;
      throw new ToolError(`${(error as Error).message}${advice ? ` (${advice})` : ''}`, { cause: error });
    } finally {
      await client.end();
    }
  });
}

function table(rows: readonly Record<string, unknown>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const shown = rows.slice(0, MOST_ROWS).map((row) => names.map((name) => cell(row[name])));
  const widths = names.map((name, column) => Math.max(name.length, ...shown.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const rest = rows.length > MOST_ROWS ? `; the first ${MOST_ROWS} are shown` : '';
  return [line(names), line(widths.map((width) => '-'.repeat(width))), ...shown.map(line), `(${rows.length} rows${rest})`, ''].join('\n');
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = value instanceof Date ? value.toISOString() : typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.replace(/\s+/g, ' ');
}
