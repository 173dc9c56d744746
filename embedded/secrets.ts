import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { explainFolderFault } from './data-folder.js';
import { StartError } from './start-error.js';

const schema = z.object({
  postgresPassword: z.string().min(16),
  /** 256 bits in hex: encrypts the signing keys at rest */
  masterKey: z.string().regex(/^[0-9a-f]{64}$/),
  adminUsername: z.string(),
  adminPassword: z.string().min(8),
  /** A first start that failed half-way has not told anyone yet */
  adminPasswordShown: z.boolean(),
});
export type Secrets = z.infer<typeof schema>;

/**
 * The embedded form generates what nobody configured, once per data folder. Without the file the database can't be opened and
 * its signing keys can't be decrypted, so a damaged file is a fault and never silently replaced.
 */
export function loadSecrets(dataDir: string): Secrets {
  const file = fileIn(dataDir);
  if (existsSync(file)) {
    try {
      return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code) throw explainFolderFault(dataDir, error) ?? error;
      throw new StartError(`${file} is damaged; restore it, or remove the data folder to start afresh`, { cause: error });
    }
  }
  const secrets: Secrets = {
    postgresPassword: randomBytes(24).toString('base64url'),
    masterKey: randomBytes(32).toString('hex'),
    adminUsername: 'admin',
    adminPassword: randomBytes(15).toString('base64url'),
    adminPasswordShown: false,
  };
  save(dataDir, secrets);
  return secrets;
}

export function markAdminPasswordShown(dataDir: string, secrets: Secrets): void {
  save(dataDir, { ...secrets, adminPasswordShown: true });
}

const fileIn = (dataDir: string) => path.join(dataDir, 'secrets.json');

/** Renamed into place: a crash in between must not leave half a file. */
function save(dataDir: string, secrets: Secrets): void {
  const file = fileIn(dataDir);
  writeFileSync(`${file}.new`, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
