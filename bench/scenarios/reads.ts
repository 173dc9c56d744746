import type { LoadRequest } from '../load.js';
import { PASSWORD, type Person } from '../prepare/people.js';
import { PREFILL_HOURS } from '../prepare/history.js';
import type { Scene } from '../stage.js';
import type { Scenario } from './scenario.js';

const getting =
  (path: (person: Person) => string) =>
  (scene: Scene): LoadRequest[] =>
    scene.people.map((person) => ({ method: 'GET', path: path(person), headers: { authorization: `Bearer ${person.token}` } }));

export const quota: Scenario = {
  name: 'quota',
  description: "reading one's quota: against a route of the same service that reads nothing",
  async run(stage) {
    const scene = await stage.scene();
    const { target } = scene;
    const { processes } = target;
    const read = getting(({ userId }) => `/api/v1/tokens/quota?userId=${userId}&provider=openai`)(scene);
    const status = getting(() => '/api/v1/tokens/status')(scene);
    for (const concurrency of stage.extent.quick ? [16] : [1, 64]) {
      const variants = [
        { name: 'leaky', job: { url: target.tokens, requests: read }, processes },
        { name: 'status', job: { url: target.tokens, requests: status }, processes },
      ];
      await stage.measure({ scenario: 'quota', provider: '–', concurrency, variants });
    }
  },
};

export const login: Scenario = {
  name: 'login',
  description: 'logging in (bcrypt, cost 10)',
  async run(stage) {
    const { target, people } = await stage.scene();
    const requests: LoadRequest[] = people.map(({ username }) => ({
      method: 'POST',
      path: '/api/v1/auth/login',
      headers: {},
      body: JSON.stringify({ username, password: PASSWORD }),
    }));
    for (const concurrency of stage.extent.quick ? [4] : [1, 16]) {
      const variants = [{ name: 'leaky', job: { url: target.auth, requests }, processes: target.processes }];
      await stage.measure({ scenario: 'login', provider: '–', concurrency, variants });
    }
  },
};

export const report: Scenario = {
  name: 'report',
  description: 'the analytics report over 48 hours, 10⁶ events in them: against a store with only what the benchmark made',
  async run(stage) {
    const full = await stage.scene('full');
    const plain = await stage.scene('plain');
    const path = `/api/v1/analytics/report?provider=openai&windowMinutes=${(PREFILL_HOURS + 1) * 60}&limit=10`;
    const variant = async (name: string, { target }: Scene) => {
      const token = await adminToken(target);
      const requests: LoadRequest[] = [{ method: 'GET', path, headers: { authorization: `Bearer ${token}` } }];
      return { name, job: { url: target.analytics, requests }, processes: target.processes };
    };
    for (const concurrency of stage.extent.quick ? [2] : [1, 16]) {
      const variants = [await variant('full', full), await variant('plain', plain)];
      await stage.measure({ scenario: 'report', provider: `${stage.extent.prefilled} events`, concurrency, variants });
    }
  },
};

async function adminToken({ auth, admin }: Scene['target']): Promise<string> {
  const response = await fetch(`${auth}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(admin),
  });
  return ((await response.json()) as { token: string }).token;
}
