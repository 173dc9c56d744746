import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const BYTES_PER_ID = 16;
const POOL_BYTES = 256 * BYTES_PER_ID;

let pool = Buffer.alloc(0);

/** Random bytes are asked for in blocks: one call into the system for each id would cost more than the rest of the id. */
function rng(): Uint8Array {
  if (pool.length < BYTES_PER_ID) pool = randomFillSync(Buffer.allocUnsafeSlow(POOL_BYTES));
  const bytes = pool.subarray(0, BYTES_PER_ID);
  pool = pool.subarray(BYTES_PER_ID);
  return bytes;
}

/** A UUID that sorts by the time it was made (version 7). */
export const newId = (): string => v7({ rng });
