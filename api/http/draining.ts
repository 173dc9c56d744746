let draining = false;
const listeners = new Set<() => void>();

/**
 * From now on every part of this process says that it is not ready, so that no new work is sent here, while it still takes what is
 * on its way. There is no way back: the process is about to end.
 */
export function startDraining(): void {
  draining = true;
  for (const listener of listeners) listener();
}

export const isDraining = (): boolean => draining;

/** @returns what takes it back */
export function onDraining(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
