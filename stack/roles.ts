import { SERVICE_ROLES } from '../adapters/postgres/grants.js';
import { PostgresClient } from '../adapters/postgres/client.js';

/** The logins of the services, with the password of the database's owner: on this machine they separate rights, not secrets. */
export async function createRoles(ownerUrl: string): Promise<void> {
  const client = new PostgresClient({ connectionString: ownerUrl });
  await client.connect();
  try {
    const password = client.escapeLiteral(decodeURIComponent(new URL(ownerUrl).password));
    for (const role of SERVICE_ROLES) {
      await client.query(`DO $$ BEGIN CREATE ROLE ${role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
      await client.query(`ALTER ROLE ${role} PASSWORD ${password}`);
    }
  } finally {
    await client.end();
  }
}
