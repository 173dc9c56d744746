import { PostgresClient } from './client.js';

/** A login for each service, so that one that is broken into can do no more than its own work. Whoever runs PostgreSQL makes them. */
export const SERVICE_ROLES = ['leaky_gateway', 'leaky_auth', 'leaky_tokens', 'leaky_analytics', 'leaky_worker'] as const;
export type ServiceRole = (typeof SERVICE_ROLES)[number];

/** s: SELECT, i: INSERT, u: UPDATE, d: DELETE; `s(a,b)`: SELECT of these columns only */
type Rights = string;

const ALL: Rights = 'siud';
/** The columns of accounts that are no secret; a password's hash is the auth service's alone. */
const WHO = 's(id,username,disabled_at,tokens_valid_after)';

/** What each role may do with each table. A table without a row here is nobody's: a test says so. */
export const GRANTS: Readonly<Record<string, Partial<Record<ServiceRole, Rights>>>> = {
  users: { leaky_auth: ALL, leaky_tokens: WHO, leaky_analytics: WHO, leaky_worker: WHO, leaky_gateway: WHO },
  roles: { leaky_auth: 's' },
  user_roles: { leaky_auth: ALL, leaky_tokens: 's', leaky_analytics: 's', leaky_gateway: 's' },
  orgs: { leaky_auth: ALL, leaky_tokens: 's', leaky_analytics: 's', leaky_worker: 's' },
  org_members: { leaky_auth: ALL, leaky_tokens: 's', leaky_analytics: 's', leaky_worker: 's' },
  api_keys: { leaky_auth: ALL },
  api_key_endings: { leaky_auth: ALL, leaky_tokens: 's', leaky_analytics: 's', leaky_gateway: 's', leaky_worker: 'sd' },
  user_endings: { leaky_auth: ALL, leaky_tokens: 's', leaky_analytics: 's', leaky_gateway: 's', leaky_worker: 'sd' },
  org_invitations: { leaky_auth: ALL, leaky_worker: 'sd' },
  // Written by triggers, with the rights of the owner
  admin_log: { leaky_auth: 'sd', leaky_worker: 'sd' },
  deleted_orgs: { leaky_auth: 'si' },
  signing_keys: { leaky_auth: ALL },
  quota_policies: { leaky_auth: 's', leaky_tokens: 'siu', leaky_worker: 'siu' },
  pools: { leaky_auth: 's', leaky_tokens: 'siu', leaky_worker: 'siu' },
  ledger_entries: { leaky_tokens: 'si', leaky_worker: 'si' },
  consumptions: { leaky_auth: 's', leaky_tokens: 'siu', leaky_worker: ALL },
  allocations: { leaky_auth: 's', leaky_tokens: 's', leaky_worker: 'siu' },
  token_purchase_saga: { leaky_auth: 's', leaky_tokens: 's', leaky_worker: ALL },
  payments: { leaky_worker: ALL },
  payment_checks: { leaky_worker: 'siu' },
  purchase_places: { leaky_tokens: ALL, leaky_worker: ALL },
  sim_payments: { leaky_worker: ALL },
  sim_payment_calls: { leaky_worker: 'si' },
  purchase_events: { leaky_analytics: 'si', leaky_worker: ALL },
  usage_events: { leaky_tokens: 'si', leaky_analytics: 'si', leaky_worker: ALL },
  usage_deltas: { leaky_tokens: 'si', leaky_analytics: 'si', leaky_worker: ALL },
  usage_look: { leaky_worker: 'su' },
  postponed_usage: { leaky_worker: ALL },
  usage_rollups: { leaky_analytics: 's', leaky_worker: ALL },
  schema_migrations: {},
};

const WORDS: Record<string, string> = { s: 'SELECT', i: 'INSERT', u: 'UPDATE', d: 'DELETE' };

/**
 * Gives the roles that exist what they need and takes everything else from them; done again after each migration it changes nothing.
 * Run by the owner of the tables. Returns the roles found.
 */
export async function grantRoles(databaseUrl: string): Promise<string[]> {
  const client = new PostgresClient({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ rolname: ServiceRole }>(
      'SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) ORDER BY rolname',
      [SERVICE_ROLES],
    );
    const roles = rows.map(({ rolname }) => rolname);
    if (roles.length === 0) return [];
    const statements = roles.flatMap((role) => [
      `REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ${role}`,
      `GRANT USAGE ON SCHEMA public TO ${role}`,
      ...Object.entries(GRANTS).flatMap(([table, rights]) => grantsOf(table, role, rights[role] ?? '')),
    ]);
    // One transaction: a service that runs meanwhile never finds itself without its rights.
    await client.query(['BEGIN', ...statements, 'COMMIT'].join(';\n'));
    return roles;
  } finally {
    await client.end();
  }
}

function grantsOf(table: string, role: ServiceRole, rights: Rights): string[] {
  const columns = /^s(\([\w,]+\))$/.exec(rights)?.[1];
  if (columns) return [`GRANT SELECT ${columns} ON ${table} TO ${role}`];
  const words = [...rights].map((letter) => WORDS[letter] ?? letter);
  return words.length === 0 ? [] : [`GRANT ${words.join(', ')} ON ${table} TO ${role}`];
}
