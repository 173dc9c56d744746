import assert from 'node:assert/strict';
import { createAuditor } from '../../adapters/postgres/audit.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { eventually } from './eventually.js';

/**
 * Nothing is held, every outcome is in the usage events and every law of the ledger holds, with no grace. Workflows may still
 * have a step to do, so it waits for them.
 */
export async function assertSound(db: Database, withinMs = 15_000): Promise<void> {
  const breaches = async () => (await createAuditor(db).audit(0)).breaches;
  await eventually('the ledger is sound', async () => (await breaches()).length === 0, withinMs).catch(async (error: unknown) => {
    assert.deepEqual(await breaches(), []);
    throw error;
  });
}
