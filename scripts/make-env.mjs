// What docker-compose.yml needs: .env (settings) and secrets/ (a file for each secret), beside each other. What exists is never touched.
// node scripts/make-env.mjs [folder]
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.resolve(process.argv[2] ?? root);

const hex = () => randomBytes(32).toString('hex');
/** Of letters, digits, - and _, as it also stands in URLs, ACLs and SQL */
const password = () => randomBytes(24).toString('base64url');

const [redis, kafka, broker] = [password(), password(), password()];
const secrets = {
  ...Object.fromEntries(
    ['superuser', 'owner', 'gateway', 'auth', 'tokens', 'analytics', 'worker'].map((role) => [`db-${role}-password`, password()]),
  ),
  'redis-url': `redis://leaky:${redis}@redis:6379`,
  // Nobody in particular may ask whether it is well, and nothing else; the services may do what they need (test/redis/topologies.test.ts).
  'redis-acl': `user default on nopass resetkeys resetchannels -@all +ping\nuser leaky on >${redis} resetkeys ~bucket:* ~window:* ~login:* ~apikey:* ~registry:* resetchannels -@all +@connection +@scripting +@hash +@list +@string +@sortedset +expire +pexpire +pttl +ttl +del +time +info\n`,
  'kafka-password': kafka,
  'kafka-jaas': `KafkaServer {
  org.apache.kafka.common.security.plain.PlainLoginModule required
  username="broker" password="${broker}" user_broker="${broker}" user_leaky="${kafka}";
};
`,
  'cassandra-password': password(),
  'cassandra-admin-password': password(),
  'temporal-db-password': password(),
  // Encrypts signing keys at rest. Without it the accounts can't sign; keep a copy with the backups.
  'master-key': hex(),
  // Encrypts what workflows carry. Old ids stay in the list for as long as histories have them.
  'payload-keys': `k1:${hex()}`,
  'codec-token': password(),
  'admin-password': password(),
  'grafana-password': password(),
  // Of the stubs, until there are real ones
  'openai-api-key': 'stub',
  'gemini-api-key': 'stub',
  'qwen-api-key': 'stub',
  'stripe-api-key': '',
};

const env = path.join(folder, '.env');
const secretsFolder = path.join(folder, 'secrets');
if (existsSync(env) || existsSync(secretsFolder)) {
  console.error(
    `${env} or ${secretsFolder} is there already; new secrets would lock everyone out of the data. Remove both first if that is meant.`,
  );
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
// Containers read the files as users of their own, so each file may be read by all; nobody but the owner of the folder gets to them.
mkdirSync(secretsFolder, { mode: 0o700 });
chmodSync(secretsFolder, 0o700);
for (const [name, text] of Object.entries(secrets)) {
  writeFileSync(path.join(secretsFolder, name), text, { flag: 'wx' });
  chmodSync(path.join(secretsFolder, name), 0o444);
}
writeFileSync(env, readFileSync(path.join(root, '.env.example'), 'utf8'), { mode: 0o600, flag: 'wx' });
console.log(`Wrote ${env} and ${secretsFolder} with new secrets. Keep a copy of both with the backups.`);
