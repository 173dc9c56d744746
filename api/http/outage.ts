/** Of Node's sockets, and of PostgreSQL: connection, resource, operator intervention (its shutdown, a statement's time limit). */
const CODES = /^(?:ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|08...|53...|57...)$/;
/** The driver gives these no code. */
const MESSAGES = /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout)/;

/** Whether an error says that a store does not answer. The caller did nothing wrong and may try again: 503, not 500. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && CODES.test(code)) || MESSAGES.test(error.message);
}
