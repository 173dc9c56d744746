import type { Config } from '../../config.js';
import { shareOf, SharedPlaces } from '../../platform/shared-places.js';
import { turnAgeMs } from '../../platform/turn-age.js';
import { SERVICE_NAMES, type ServiceName } from './ports.js';
import { waitsForProvider } from './routes.js';

/** A page asks for two things at once: fewer places than that are no share. */
const LEAST_SHARE = 2;

/**
 * A turn of the event loop that is this long has taken more than can be served in time: whoever has more than a few calls in
 * progress gets no more; and after a second nobody does.
 */
const LONG_TURN_MS = 200;
const FEW_CALLS = 16;
const LONGEST_TURN_MS = 1_000;

export interface GatewayPlaces {
  /** Where a call to this route takes its place */
  of(service: ServiceName, method: string, path: string): SharedPlaces;
  /** Whether a call can be taken now: a cheap look before anything is done for it */
  hasRoom(places: SharedPlaces, share: string): boolean;
  /** Of requests whose credentials have not been proven before, by address */
  proving: SharedPlaces;
}

/**
 * What the gateway's calls share, each caller a part of it. Calls that wait for a provider cost next to nothing meanwhile and are
 * many: they have places of their own, so that a slow provider takes none from cheap reads. A place is held until the answer has
 * been produced, however long its client takes to read it.
 */
export function createPlaces({ gateway }: Config): GatewayPlaces {
  const { bulkhead, bulkheadShare, bulkheadWaitMs, providerCalls, providerCallsShare, proving, provingShare } = gateway;
  const reads = new Map(
    SERVICE_NAMES.map((name) => [
      name,
      new SharedPlaces({ places: bulkhead, perCaller: Math.max(LEAST_SHARE, shareOf(bulkhead, bulkheadShare)), waitMs: bulkheadWaitMs }),
    ]),
  );
  const waiting = new SharedPlaces({ places: providerCalls, perCaller: shareOf(providerCalls, providerCallsShare) });
  return {
    of: (service, method, path) => (waitsForProvider(method, path) ? waiting : reads.get(service)!),
    hasRoom(places, share) {
      if (!places.hasRoom(share)) return false;
      if (places !== waiting) return true;
      const age = turnAgeMs();
      return age < LONG_TURN_MS || (age < LONGEST_TURN_MS && places.heldBy(share) < FEW_CALLS);
    },
    proving: new SharedPlaces({ places: proving, perCaller: shareOf(proving, provingShare), waitMs: bulkheadWaitMs }),
  };
}
