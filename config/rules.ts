/**
 * What a service does with settings that others have no use for, or that it can do badly all the same: a shutdown that is cut short.
 * `config check` asks for all of them.
 */
export const TASKS = ['providers', 'payments', 'topics', 'shutdown'] as const;
export type Task = (typeof TASKS)[number];

/**
 * A rule about several variables at once, or about what the surroundings make of one: what a library would only throw on, or ignore,
 * long after the start. It is asked only when none of its variables is faulty by itself.
 */
export interface Rule<Environment> {
  /** Only where this is done: other services share the settings, but are not given the secrets. Unset: everywhere */
  for?: Task;
  /** The variables it reads; its fault is told of the first one */
  of: readonly (keyof Environment & string)[];
  /** What is wrong; null: nothing */
  fault(env: Environment): string | null;
}

/** Host of an address that people outside this network also reach; such a server wants to know who calls. */
export function isPublicHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (/^(?:127\.|10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|0\.0\.0\.0$)/.test(host) || /^(?:::1?$|f[cd]|fe80:)/.test(host))
    return false;
  return host.includes('.') && !/\.(?:local|localhost|internal|lan|home\.arpa|test)$/.test(host);
}
