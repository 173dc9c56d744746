/**
 * What says that a store or an engine does not answer, as against a fault of ours: the caller may come back, so it is a 503 and
 * not a 500. Each driver has errors of its own, so each adapter registers how it recognises them, when it is loaded: who has not
 * loaded a driver cannot meet its errors.
 */
type Rule = (error: Error) => boolean;

const rules = new Map<string, Rule>();

/** @param store names the rule; a second one of the same name replaces the first */
export function recogniseOutages(store: string, rule: Rule): void {
  rules.set(store, rule);
}

/** Of Node's sockets: every driver lets them through. */
const SOCKET_CODES = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
  ...['ENOTFOUND', 'EAI_AGAIN'],
]);
/** A disk that is full, or files that have run out: it passes, and nobody who calls can help it. */
const RESOURCE_CODES = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOBUFS']);

/** How deep causes are followed; drivers wrap twice, adapters once. */
const MOST_CAUSES = 5;

/** Whether an error, or what caused it, says that a store does not answer. */
export function isOutage(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < MOST_CAUSES && current instanceof Error; depth++) {
    if (saysOutage(current)) return true;
    current = current.cause;
  }
  return false;
}

function saysOutage(error: Error): boolean {
  if (isOfTheSystem(error)) return true;
  for (const rule of rules.values()) if (rule(error)) return true;
  return false;
}

/** Of the operating system: a peer that is gone, or a resource that has run out. */
export function isOfTheSystem(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && (SOCKET_CODES.has(code) || RESOURCE_CODES.has(code));
}
