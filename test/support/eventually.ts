const EVERY_MS = 25;

/** Reads until the value fits, and answers it. @throws Error with `what` and the value seen last after `withinMs` */
export async function readUntil<T>(what: string, read: () => T | Promise<T>, fits: (value: T) => boolean, withinMs = 45_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await read();
    if (fits(value)) return value;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** Waits until `condition` holds; answers how many ms that took. @throws Error with `what` after `withinMs` */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<number> {
  const start = Date.now();
  await readUntil(what, condition, Boolean, withinMs);
  return Date.now() - start;
}

/** False for a zombie too: it has ended, only nobody has asked yet. */
export async function isRunning(pid: number): Promise<boolean> {
  const { readFile } = await import('node:fs/promises');
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}
