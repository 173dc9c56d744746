/** One thing that a cluster must have, and how the set-up found or left it. */
export interface Finding {
  /** For instance "search attribute LeakyUserId" */
  what: string;
  state: 'created' | 'updated' | 'as wanted' | 'differs' | 'by hand';
  /** What is different, or what to do */
  detail?: string;
}

/** gRPC status codes that decide something here */
export const STATUS = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  failedPrecondition: 9,
  unimplemented: 12,
  unauthenticated: 16,
} as const;

export const statusOf = (error: unknown): number | undefined => (error as { code?: number } | null)?.code;

/** The server does this only for others, or by another interface: Temporal Cloud for namespaces and search attributes. */
export const isRefusal = (error: unknown): boolean =>
  ([STATUS.permissionDenied, STATUS.unimplemented, STATUS.unauthenticated] as (number | undefined)[]).includes(statusOf(error));

export const reasonOf = (error: unknown): string =>
  (error as { details?: string } | null)?.details || (error instanceof Error ? error.message : String(error));

const EVERY_MS = 200;

/** Waits until `holds`: the parts of a cluster learn of a change at the next refresh of their caches. @returns whether it came to hold */
export async function within(ms: number, holds: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  return true;
}
