import { createMemoryKeyRevocations } from '../../adapters/memory/key-revocations.js';
import { createPostgresKeyRevocations, type PostgresKeyRevocations } from '../../adapters/postgres/key-revocations.js';
import { log } from '../redis/support.js';
import { withDatabase } from '../support/postgres.js';
import { keyRevocationsContract } from './key-revocations.js';

describe('KeyRevocations in memory', () => {
  const revocations = createMemoryKeyRevocations();
  keyRevocationsContract(() => ({ announcer: revocations, listener: revocations, commit: async () => undefined }));
});

describe('KeyRevocations by PostgreSQL', function () {
  this.timeout(30_000);
  const database = withDatabase();

  describe('with a connection for each process', () => {
    let announcer: PostgresKeyRevocations;
    let listener: PostgresKeyRevocations;
    before(async () => {
      const { url } = database();
      [announcer, listener] = await Promise.all([createPostgresKeyRevocations(url, log), createPostgresKeyRevocations(url, log)]);
    });
    after(() => Promise.all([announcer.close(), listener.close()]));
    keyRevocationsContract(() => ({
      announcer,
      listener,
      async commit(endings) {
        for (const { secretHash, validUntil } of endings) {
          await database().pool.query(`SELECT end_secret(decode($1, 'hex'), $2)`, [secretHash, new Date(validUntil)]);
        }
      },
    }));
  });
});
