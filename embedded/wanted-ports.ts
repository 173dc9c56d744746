import type { Config } from '../config.js';
import type { WantedPort } from './ports.js';

/** Every port of the embedded form, with the words for the message when it is taken. */
export function wantedPorts({ host, ports, postgres, temporal }: Config): WantedPort[] {
  const service = (port: number, purpose: string, variable: string): WantedPort => ({ host, port, purpose, variable });
  const database = (port: number, purpose: string, variable: string): WantedPort => ({ host: '127.0.0.1', port, purpose, variable });
  return [
    service(ports.gateway, 'gateway', 'LEAKY_GATEWAY_PORT'),
    service(ports.auth, 'auth service', 'LEAKY_AUTH_PORT'),
    service(ports.tokens, 'token service', 'LEAKY_TOKENS_PORT'),
    service(ports.analytics, 'analytics service', 'LEAKY_ANALYTICS_PORT'),
    service(ports.stubs.qwen, 'stub of qwen', 'LEAKY_STUB_QWEN_PORT'),
    service(ports.stubs.gemini, 'stub of gemini', 'LEAKY_STUB_GEMINI_PORT'),
    service(ports.stubs.openai, 'stub of openai', 'LEAKY_STUB_OPENAI_PORT'),
    ...(postgres.url ? [] : [database(postgres.embeddedPort, 'PostgreSQL', 'LEAKY_POSTGRES_PORT')]),
    ...(temporal.address
      ? []
      : [
          database(temporal.embeddedPort, 'Temporal server', 'LEAKY_TEMPORAL_PORT'),
          database(temporal.embeddedUiPort, 'Temporal Web UI', 'LEAKY_TEMPORAL_UI_PORT'),
        ]),
  ];
}
