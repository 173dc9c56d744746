import { createServiceApp, type ServiceApp } from '../http/service.js';
import { adminLogOperations, adminLogRoutes } from './admin-log.js';
import { apiKeyOperations, apiKeyRoutes } from './api-keys.js';
import type { AuthContext } from './context.js';
import { invitationOperations, invitationRoutes } from './invitations.js';
import { keyCheckOperations, keyCheckRoutes } from './key-checks.js';
import { loginOperations, loginRoutes } from './login.js';
import { memberOperations, memberRoutes } from './members.js';
import { orgOperations, orgRoutes } from './orgs.js';
import { registerOperations, registerRoutes } from './register.js';
import { userOperations, userRoutes } from './users.js';
import { signingKeyOperations, signingKeyRoutes } from './signing-keys.js';

/** Every operation of the service, for its own OpenAPI document and for the gateway's. */
export const authOperations = [
  ...registerOperations,
  ...loginOperations,
  ...apiKeyOperations,
  ...keyCheckOperations,
  ...orgOperations,
  ...memberOperations,
  ...userOperations,
  ...invitationOperations,
  ...signingKeyOperations,
  ...adminLogOperations,
];

export function createAuthService(context: AuthContext): ServiceApp {
  return createServiceApp({
    name: 'auth',
    title: 'Leaky Tokens: auth',
    config: context.config,
    log: context.log,
    operations: authOperations,
    serverUrl: context.config.ownUrls.auth,
    authenticate: context.authenticator.required,
    readiness: { postgres: () => context.accounts.ping(), signingKey: () => context.keyring.active() },
    routes: (router) => {
      registerRoutes(router, context);
      loginRoutes(router, context);
      keyCheckRoutes(router, context);
      apiKeyRoutes(router, context);
      orgRoutes(router, context);
      memberRoutes(router, context);
      userRoutes(router, context);
      invitationRoutes(router, context);
      signingKeyRoutes(router, context);
      adminLogRoutes(router, context);
    },
  });
}
