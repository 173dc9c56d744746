/** The services behind the gateway, by the name that their routes use. */
export type ServiceName = 'auth' | 'tokens' | 'analytics';
export const SERVICE_NAMES: readonly ServiceName[] = ['auth', 'tokens', 'analytics'];

/**
 * How a call to an instance ended, as far as the instance goes. `refused`: no connection, so nothing was sent. `broken`: it
 * was sent, and no answer came. `abandoned`: the caller left, which says nothing.
 */
export type CallOutcome = 'answered' | 'refused' | 'broken' | 'abandoned';

/** Where instances come from and how one is chosen is the adapter's. */
export interface ServiceResolver {
  /**
   * The instance that takes the next call. It counts as busy with it until `report`, which must follow once.
   * @param tried instances that this request was refused by: another one is wanted
   * @returns null when no (other) instance is known
   */
  resolve(service: ServiceName, tried?: readonly URL[]): URL | null;
  report(service: ServiceName, instance: URL, outcome: CallOutcome): void;
}

/** Services at one address each, whatever becomes of calls. */
export const fixedServices = (urls: Record<ServiceName, string>): ServiceResolver => ({
  resolve: (service, tried = []) => (tried.length === 0 ? new URL(urls[service]) : null),
  report: () => undefined,
});

/** Whether a failed call never left: there was no connection to send it on. Another instance may get it, whatever it asks for. */
export function nothingSent(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { syscall } = error as NodeJS.ErrnoException;
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(nothingSent);
  return error.cause !== undefined && nothingSent(error.cause);
}
