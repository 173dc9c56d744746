// Writes .env for docker-compose.yml: .env.example with fresh secrets where it leaves them blank. An .env that exists is never touched.
// node scripts/make-env.mjs [file]
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const file = path.resolve(process.argv[2] ?? path.join(root, '.env'));

const hex = () => randomBytes(32).toString('hex');
/** Of letters, digits, - and _, as it also stands in URLs */
const password = () => randomBytes(24).toString('base64url');
const special = { LEAKY_MASTER_KEY: hex, LEAKY_PAYLOAD_KEYS: () => `k1:${hex()}` };

const text = readFileSync(path.join(root, '.env.example'), 'utf8').replace(
  /^(\w+)=$/gm,
  (_, name) => `${name}=${(special[name] ?? password)()}`,
);

try {
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
  console.log(`Wrote ${file} with new secrets. Keep a copy of it with the backups.`);
} catch (error) {
  if (error.code !== 'EEXIST') throw error;
  console.error(`${file} is there already; new secrets would lock everyone out of the data. Remove it first if that is meant.`);
  process.exitCode = 1;
}
