import { setTimeout as delay } from 'node:timers/promises';
import type { Request, Response } from 'express';
import type { Forwarder, ForwardOptions, ForwardResult } from './forwarder.js';
import type { ServiceName, ServiceResolver } from './ports.js';

const MAX_ATTEMPTS = 3;
/** Before the only instance is tried again: it may be starting anew. */
const PAUSE_MS = 20;

/** It says nothing of the service's health that none of its instances is known. */
const NOBODY: ForwardResult = { verdict: 'neutral', fault: 'unreachable' };

export type Dispatch = (
  req: Request,
  res: Response,
  service: ServiceName,
  options: Omit<ForwardOptions, 'target'>,
) => Promise<ForwardResult>;

/**
 * Sends a request to an instance of a service. Where that is safe (the forwarder says so) it goes to another one, or once more to
 * the only one, when the first brought no answer: nothing was sent, or doing it twice is the same as once.
 */
export function createDispatch(services: ServiceResolver, forwarder: Forwarder): Dispatch {
  return async (req, res, service, options) => {
    const tried: URL[] = [];
    let result = NOBODY;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      let target = services.resolve(service, tried);
      if (!target && tried.length === 1) {
        await delay(PAUSE_MS);
        target = services.resolve(service);
        attempt = MAX_ATTEMPTS;
      }
      if (!target) return result;
      result = await forwarder.forward(req, res, { ...options, target });
      report(services, service, target, result, res);
      if (result.repeatable !== true || res.destroyed) return result;
      tried.push(target);
    }
    return result;
  };
}

/** An instance is busy with a call until its answer is out, streams included. */
function report(services: ServiceResolver, service: ServiceName, target: URL, { fault, refused }: ForwardResult, res: Response): void {
  if (fault !== null) services.report(service, target, refused === true ? 'refused' : 'broken');
  else if (res.closed || res.destroyed) services.report(service, target, 'abandoned');
  else res.once('close', () => services.report(service, target, 'answered'));
}
