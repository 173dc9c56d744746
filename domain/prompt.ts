/** Sent when a caller consumes tokens without a prompt of its own. */
export const DEFAULT_PROMPT = 'Hello';
