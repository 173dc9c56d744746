import pg from 'pg';
import { UnstorableEvent } from '../../activities/ports.js';

/** Classes of SQLSTATE that blame the values: data exception, integrity constraint violation. */
const BLAMES_VALUES = /^2[23]/;

/** Tells a refusal of the values from an outage. */
export async function storing(statement: Promise<unknown>): Promise<void> {
  try {
    await statement;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !BLAMES_VALUES.test(error.code ?? '')) throw error;
    throw new UnstorableEvent(error.message, { cause: error });
  }
}
