import type { KeyRevocations } from '../../api/http/key-revocations.js';
import { createEndingListeners } from './ending-listeners.js';

/** For a process that nobody needs to bring news to: an ending arrives before `publish` returns, and only what is published here. */
export function createMemoryKeyRevocations(): KeyRevocations {
  const listeners = createEndingListeners();
  return {
    live: true,
    publish: async (endings) => endings.forEach(listeners.ended),
    publishUser: async (ending) => listeners.userEnded(ending),
    subscribe: listeners.subscribe,
    tokenEnded: listeners.tokenEnded,
  };
}
