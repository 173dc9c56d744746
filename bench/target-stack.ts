import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../root.js';
import { freePorts } from '../stack/ports.js';
import { startStack } from '../stack/start.js';
import { cleanEnvironment } from './children.js';
import { NO_LIMITS, type Stubs, type Target } from './target.js';

/** The full stack on free ports and a throw-away folder, with the provider stubs outside: every real part, each its own process. */
export async function startStackTarget(stubs: Stubs, say: (line: string) => void, nodeFlags: string[] = []): Promise<Target> {
  const parent = path.join(projectRoot, '.cache');
  mkdirSync(parent, { recursive: true });
  const dataDir = mkdtempSync(path.join(parent, 'bench-stack-'));
  const environment = { ...cleanEnvironment(), ...NO_LIMITS, ...stubs.environment };
  const remove = () => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  const stack = await startStack({ dataDir, ports: await freePorts(), environment, withoutStubs: true, nodeFlags, say }).catch(
    (error: unknown) => {
      remove();
      throw error;
    },
  );
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return {
    gateway: at(stack.ports.gateway),
    auth: at(stack.ports.auth),
    tokens: at(stack.ports.tokens[0]),
    analytics: at(stack.ports.analytics),
    admin: { username: stack.secrets.adminUsername, password: stack.secrets.adminPassword },
    postgresUrl: stack.postgresUrl,
    environment: stack.environment,
    processes: [...stack.servers, ...stack.services].map(({ name, pid }) => ({ name, pid })),
    async stop() {
      await stack.stop();
      remove();
    },
  };
}
