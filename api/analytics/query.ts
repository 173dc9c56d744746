import type { Request, Response } from 'express';
import type { z } from 'zod';
import { Problem } from '../../contracts/errors.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { callerOf, type Memberships } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { usageVisibleTo } from '../identity/authority.js';
import type { UsageReader, Visibility } from './ports.js';

export interface AnalyticsDependencies {
  usage: UsageReader;
  memberships: Memberships;
  /** Windows end now */
  clock: () => Date;
}

/** A documented route and what answers it. */
export interface Route {
  operation: Operation;
  handle: (dependencies: AnalyticsDependencies) => (req: Request, res: Response) => Promise<void>;
}

/** @throws Problem UNKNOWN_PROVIDER for a provider that is not in the list, ZodError for everything else that is wrong */
export function parseQuery<T extends z.ZodType>(schema: T, req: Request): z.output<T> {
  const { provider } = req.query;
  if (typeof provider === 'string' && provider !== '' && !(PROVIDERS as readonly string[]).includes(provider)) {
    const message = `must be one of ${PROVIDERS.join(', ')}`;
    throw new Problem('UNKNOWN_PROVIDER', `provider: ${message}`, { errors: [{ field: 'provider', message }] });
  }
  return schema.parse(req.query);
}

export const visibilityOf = (memberships: Memberships, res: Response): Promise<Visibility> => usageVisibleTo(memberships, callerOf(res));

export const BAD_QUERY = {
  400: { description: 'Missing or wrong parameter; unknown provider' },
  401: { description: 'Not authenticated' },
};
