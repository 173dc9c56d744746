import { z } from 'zod';
import * as addresses from './addresses.js';
import * as auth from './auth.js';
import * as bucket from './bucket.js';
import * as cassandra from './cassandra.js';
import * as consumption from './consumption.js';
import * as discovery from './discovery.js';
import * as flags from './flags.js';
import * as gateway from './gateway.js';
import * as http from './http.js';
import * as kafka from './kafka.js';
import * as payloads from './payloads.js';
import * as postgres from './postgres.js';
import * as process from './process.js';
import * as providers from './providers.js';
import * as purchases from './purchases.js';
import * as redis from './redis.js';
import type { Rule } from './rules.js';
import * as schedules from './schedules.js';
import * as telemetry from './telemetry.js';
import * as temporal from './temporal.js';

/** The sections in the order people read them. A new section is a line in each of the three lists. */
export const sections = {
  addresses,
  process,
  telemetry,
  postgres,
  temporal,
  payloads,
  redis,
  kafka,
  cassandra,
  discovery,
  auth,
  gateway,
  http,
  bucket,
  providers,
  consumption,
  purchases,
  schedules,
  flags,
};

export const environmentSchema = z.object({
  ...addresses.schema,
  ...process.schema,
  ...telemetry.schema,
  ...postgres.schema,
  ...temporal.schema,
  ...payloads.schema,
  ...redis.schema,
  ...kafka.schema,
  ...cassandra.schema,
  ...discovery.schema,
  ...auth.schema,
  ...gateway.schema,
  ...http.schema,
  ...bucket.schema,
  ...providers.schema,
  ...consumption.schema,
  ...purchases.schema,
  ...schedules.schema,
  ...flags.schema,
});

export type Environment = z.output<typeof environmentSchema>;

/** What must hold between variables: of every section that says so. */
export const rules = Object.values(sections).flatMap((section) => ('rules' in section ? (section.rules as Rule<Environment>[]) : []));

export const shape = (env: Environment) => ({
  ...addresses.shape(env),
  ...process.shape(env),
  ...telemetry.shape(env),
  ...postgres.shape(env),
  ...temporal.shape(env),
  ...payloads.shape(env),
  ...redis.shape(env),
  ...kafka.shape(env),
  ...cassandra.shape(env),
  ...discovery.shape(env),
  ...auth.shape(env),
  ...gateway.shape(env),
  ...http.shape(env),
  ...bucket.shape(env),
  ...providers.shape(env),
  ...consumption.shape(env),
  ...purchases.shape(env),
  ...schedules.shape(env),
  ...flags.shape(env),
});
