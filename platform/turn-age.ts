const TICK_MS = 20;

let lastTick = 0;
let ticking = false;

/**
 * How long the present turn of the event loop has been going on, in milliseconds; about 20 when the loop has little to do. A turn
 * takes all requests that have arrived, and everything else waits for its end: answers of providers, whose time limits run, too.
 */
export function turnAgeMs(): number {
  const now = performance.now();
  if (!ticking) {
    ticking = true;
    lastTick = now;
    setInterval(() => (lastTick = performance.now()), TICK_MS).unref();
  }
  return now - lastTick;
}
