import { z } from 'zod';
import { port, type Env } from './fields.js';
import { baseUrl } from './network.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_HOST: z.string().default('127.0.0.1').describe('Address every service listens on'),
  LEAKY_PUBLIC_URL: baseUrl().optional().describe('Base URL shown in answers (upgradeUrl); default: the gateway address'),
  LEAKY_GATEWAY_PORT: port(8080).describe('Port of the gateway; 0: any free one'),
  LEAKY_AUTH_PORT: port(8081).describe('Port of the auth service'),
  LEAKY_TOKENS_PORT: port(8082).describe('Port of the token service'),
  LEAKY_ANALYTICS_PORT: port(8083).describe('Port of the analytics service'),
  LEAKY_WORKER_PORT: port(8084).describe('Where `leaky worker` answers probes'),
  LEAKY_STUB_QWEN_PORT: port(8091).describe('Port of the stub that answers as Qwen'),
  LEAKY_STUB_GEMINI_PORT: port(8092).describe('Port of the stub that answers as Gemini'),
  LEAKY_STUB_OPENAI_PORT: port(8093).describe('Port of the stub that answers as OpenAI'),
};

const SERVER_PORTS = Object.keys(schema).filter((name) => name.endsWith('_PORT')) as (keyof AddressEnv)[];

export const rules: Rule<AddressEnv>[] = SERVER_PORTS.flatMap((name, index) =>
  SERVER_PORTS.slice(0, index).map((other) => ({
    of: [name, other],
    fault: (env) => (env[name] === env[other] && env[name] !== 0 ? `${env[name]} is the port of ${other}, too` : null),
  })),
);

export type AddressEnv = Env<typeof schema>;

export const local = (env: AddressEnv, portNumber: number) =>
  `http://${env.LEAKY_HOST === '0.0.0.0' ? '127.0.0.1' : env.LEAKY_HOST}:${portNumber}`;

export const shape = (env: AddressEnv) => ({
  host: env.LEAKY_HOST,
  publicUrl: env.LEAKY_PUBLIC_URL ?? local(env, env.LEAKY_GATEWAY_PORT),
  ports: {
    gateway: env.LEAKY_GATEWAY_PORT,
    auth: env.LEAKY_AUTH_PORT,
    tokens: env.LEAKY_TOKENS_PORT,
    analytics: env.LEAKY_ANALYTICS_PORT,
    worker: env.LEAKY_WORKER_PORT,
    stubs: { qwen: env.LEAKY_STUB_QWEN_PORT, gemini: env.LEAKY_STUB_GEMINI_PORT, openai: env.LEAKY_STUB_OPENAI_PORT },
  },
});
