import { freePortBlock } from '../embedded/ports.js';

/** Every port of the stack; all are on 127.0.0.1. */
export interface StackPorts {
  gateway: number;
  auth: number;
  /** One for each token service */
  tokens: readonly [number, number];
  analytics: number;
  worker: number;
  stubs: { qwen: number; gemini: number; openai: number };
  postgres: number;
  redis: number;
  /** The broker; the controller has the next one */
  kafka: number;
  /** CQL; the storage has the next one */
  cassandra: number;
  /** The frontend; eight more follow it */
  temporal: number;
  temporalPostgres: number;
}

/** Those of the README, so that its lines work as they are. */
export const DEFAULT_PORTS: StackPorts = {
  gateway: 8080,
  auth: 8081,
  tokens: [8082, 8182],
  analytics: 8083,
  worker: 8084,
  stubs: { qwen: 8091, gemini: 8092, openai: 8093 },
  postgres: 5439,
  redis: 6379,
  kafka: 9092,
  cassandra: 9042,
  temporal: 7233,
  temporalPostgres: 5440,
};

const IN_A_ROW = 26;

/** @param first 26 ports from this one on; must be free */
export function portsFrom(first: number): StackPorts {
  const at = (index: number) => first + index;
  return {
    gateway: at(0),
    auth: at(1),
    tokens: [at(2), at(3)],
    analytics: at(4),
    worker: at(5),
    stubs: { qwen: at(6), gemini: at(7), openai: at(8) },
    postgres: at(9),
    temporalPostgres: at(10),
    redis: at(11),
    kafka: at(12),
    cassandra: at(14),
    temporal: at(16),
  };
}

export const freePorts = async (): Promise<StackPorts> => portsFrom(await freePortBlock(IN_A_ROW));

/** With what each is for, for the message when one is taken. */
export function portUses(ports: StackPorts): [number, string][] {
  const row = (first: number, count: number, name: string) =>
    Array.from({ length: count }, (_, index): [number, string] => [first + index, name]);
  return [
    [ports.gateway, 'gateway'],
    [ports.auth, 'auth service'],
    [ports.tokens[0], 'first token service'],
    [ports.tokens[1], 'second token service'],
    [ports.analytics, 'analytics service'],
    [ports.worker, 'worker'],
    [ports.stubs.qwen, 'stub of qwen'],
    [ports.stubs.gemini, 'stub of gemini'],
    [ports.stubs.openai, 'stub of openai'],
    [ports.postgres, 'PostgreSQL'],
    [ports.temporalPostgres, 'PostgreSQL of Temporal'],
    [ports.redis, 'Redis'],
    ...row(ports.kafka, 2, 'Kafka'),
    ...row(ports.cassandra, 2, 'Cassandra'),
    ...row(ports.temporal, 9, 'Temporal'),
  ];
}
