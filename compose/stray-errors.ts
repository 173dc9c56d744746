import { isOutage } from '../platform/outages.js';
import { metrics } from '../telemetry/metrics.js';

/**
 * The last listener. An emitter whose `error` nobody hears would end the process, and with it every call in flight; so would a
 * promise that is rejected with nobody waiting. Emitters of ours have listeners from their birth; this is for those that libraries
 * make. An error that says that a peer, a store or a resource is away interrupted no code of ours: whoever needs what broke finds
 * out by itself. Any other is a fault of the program, whose state nobody knows then: the process ends in order.
 */
export function hearStrayErrors(onStray: (error: Error) => void, onFault: (error: unknown) => void): () => void {
  const hear = (error: unknown) => {
    if (!isOutage(error)) return onFault(error);
    metrics.strayErrors.inc();
    onStray(error as Error);
  };
  process.on('uncaughtException', hear);
  // What is written there is for whoever reads it; that nobody does, or that its disk is full, concerns no call.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => metrics.logLinesDropped.inc());
  return () => void process.off('uncaughtException', hear);
}
