import { Problem } from '../../contracts/errors.js';
import type { OwnerKind } from '../../contracts/temporal.js';
import type { QuotaStore } from './ports.js';

/** An ADMIN acts for any owner, but not for one that does not exist: its tokens would be nobody's. */
export async function requireOwner(quota: Pick<QuotaStore, 'ownerExists'>, kind: OwnerKind, id: string): Promise<void> {
  if (await quota.ownerExists(kind, id)) return;
  throw new Problem('NOT_FOUND', kind === 'user' ? 'There is no such user' : 'There is no such organisation');
}
