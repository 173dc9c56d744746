/**
 * Many calls share one signal: a batch has one for all its items. An EventTarget looks through its listeners on every add and
 * remove, and warns from the eleventh on, so each signal gets one listener and the calls a set.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `leave` once when the signal aborts; it must not be aborted yet, and `leave` must not throw. Returns what takes it back. */
export function onDeparture(signal: AbortSignal, leave: () => void): () => void {
  let leavers = waiting.get(signal);
  if (!leavers) {
    const created = new Set<() => void>();
    waiting.set(signal, created);
    signal.addEventListener('abort', () => created.forEach((callback) => callback()), { once: true });
    leavers = created;
  }
  leavers.add(leave);
  return () => waiting.get(signal)?.delete(leave);
}
