import { recogniseOutages } from '../../platform/outages.js';

/** A broker did not answer in the time that we have. */
export class KafkaSilent extends Error {
  override readonly name = 'KafkaSilent';
}

recogniseOutages('kafka deadline', (error) => error instanceof KafkaSilent);

/** Rejects when `work` takes longer; the work itself goes on. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new KafkaSilent(`${what}: no answer from Kafka within ${ms} ms`)), ms);
  });
  // Whoever gave up does not want to hear of a later failure.
  work.catch(() => undefined);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
