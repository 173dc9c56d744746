import type { KeyRevocations } from '../../api/http/key-revocations.js';
import { createEndingListeners } from './ending-listeners.js';

/** For the form in which every service lives in one process: an ending arrives before `publish` returns. */
export function createMemoryKeyRevocations(): KeyRevocations {
  const listeners = createEndingListeners();
  return {
    live: true,
    publish: async (endings) => endings.forEach(listeners.ended),
    subscribe: listeners.subscribe,
  };
}
