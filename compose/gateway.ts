import { startGateway } from '../api/gateway/start.js';
import { createServiceFetch, type ServiceFetch } from '../api/http/service-fetch.js';
import { gatewayOperations, requireKnownPaths } from './gateway-paths.js';
import { serverPart, type Compose } from './service.js';

export const composeGateway: Compose = async (resources) => {
  const { config, log } = resources;
  requireKnownPaths(config);
  const limits = await resources.limits();
  const services = await resources.services();
  const gateway = await startGateway({
    config,
    log,
    limits: limits.windows(),
    services,
    local: resources.local,
    operations: gatewayOperations,
    authenticator: await resources.authenticator(),
    readiness: { ...limits.readiness, auth: untilReached(createServiceFetch(services, 'auth')) },
  });
  return serverPart('gateway', gateway, resources);
};

const REACH_TIMEOUT_MS = 2_000;

/**
 * A gateway that never saw the signing keys could admit nobody. Once it has, it goes on without the auth service, and is not to be
 * taken out of service for another's sake.
 */
function untilReached(auth: ServiceFetch): () => Promise<void> {
  let reached = false;
  return async () => {
    reached ||= (await auth('/oauth2/jwks', { signal: AbortSignal.timeout(REACH_TIMEOUT_MS) })).ok;
    if (!reached) throw new Error('the auth service does not give its signing keys');
  };
}
