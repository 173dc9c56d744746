import { EventEmitter } from 'node:events';
import type { KeyEnding, KeyRevocations, KeyRevocationListener } from '../../api/http/key-revocations.js';

/** For the form in which every service lives in one process: an ending arrives before `publish` returns. */
export function createMemoryKeyRevocations(): KeyRevocations {
  const emitter = new EventEmitter<{ ended: [KeyEnding] }>();
  emitter.setMaxListeners(0);
  return {
    live: true,
    publish: async (endings) => {
      for (const ending of endings) emitter.emit('ended', ending);
    },
    subscribe: (listener: KeyRevocationListener) => {
      const ended = (ending: KeyEnding) => listener.ended(ending);
      emitter.on('ended', ended);
      return () => emitter.off('ended', ended);
    },
  };
}
