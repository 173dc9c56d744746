import { operations as analyticsOperations } from '../api/analytics/service.js';
import { authOperations } from '../api/auth/service.js';
import { isUnder } from '../api/gateway/routes.js';
import type { Operation } from '../api/http/openapi.js';
import { operations as tokenOperations } from '../api/tokens/operations.js';
import { purchaseOperations } from '../api/tokens/purchases.js';
import { ConfigError, type Config } from '../config.js';

/** What the services behind the gateway offer. */
export const gatewayOperations: readonly Operation[] = [
  ...authOperations,
  ...tokenOperations,
  ...purchaseOperations,
  ...analyticsOperations,
];

const OWN_PATHS = ['/health/live', '/health/ready', '/health/startup', '/metrics', '/docs', '/openapi.json', '/fallback/{service}'];
const knownPaths: readonly string[] = [...gatewayOperations.map(({ path }) => path), ...OWN_PATHS];

/** Settings for a path that no route has: nobody would ever notice that they do nothing. */
export function pathFaults({ gateway }: Config): string[] {
  const settings: [string, readonly string[]][] = [
    ['LEAKY_RATE_LIMIT_OVERRIDES', Object.keys(gateway.rateLimitOverrides)],
    ['LEAKY_GATEWAY_ROUTES', Object.keys(gateway.routeRules)],
    ['LEAKY_RATE_LIMIT_EXEMPT', gateway.rateLimitExempt],
  ];
  const strange = settings.flatMap(([name, paths]) =>
    paths
      .filter((path) => !knownPaths.some((known) => covers(path, known.toLowerCase())))
      .map((path) => `${name}: no route is under ${path}`),
  );
  const aside = Object.entries(gateway.routeRules).flatMap(([prefix, { rewritePath }]) =>
    rewritePath && !isUnder(rewritePath.from.toLowerCase(), prefix) && !isUnder(prefix, rewritePath.from.toLowerCase())
      ? [`LEAKY_GATEWAY_ROUTES: ${prefix}: rewritePath.from is not on the way to it, so nothing would be rewritten`]
      : [],
  );
  return [...strange, ...aside];
}

/** @throws ConfigError as `leaky config check` does */
export function requireKnownPaths(config: Config): void {
  const faults = pathFaults(config);
  if (faults.length > 0) throw new ConfigError(faults.join('\n'));
}

/** Whether some request of the route `known`, whose {parameters} stand for any segment, lies under `prefix`. */
function covers(prefix: string, known: string): boolean {
  const [wanted, parts] = [prefix.split('/').filter(Boolean), known.split('/').filter(Boolean)];
  return wanted.length <= parts.length && wanted.every((part, index) => part === parts[index] || parts[index]?.startsWith('{'));
}
