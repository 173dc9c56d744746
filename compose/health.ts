import type { Config } from '../config.js';

const ANSWER_TIMEOUT_MS = 3_000;

/**
 * What the health check of a container asks: are the services that listen here ready? Which ones do is for the command of the
 * container to decide, so every configured port is tried, and one that nobody listens on counts for nothing.
 * @returns whether at least one service answered and none of them said no
 */
export async function checkHealth(config: Config): Promise<boolean> {
  const { stubs, ...services } = config.ports;
  const ports = Object.entries({ ...services, ...stubs, codec: config.codec.port });
  const answers = await Promise.all(ports.map(async ([name, port]) => ({ name, answer: await ask(hostOf(config), port) })));
  const listening = answers.filter(({ answer }) => answer !== null);
  for (const { name, answer } of listening) process.stdout.write(`${name}: ${answer}\n`);
  if (listening.length === 0) process.stdout.write('no service listens on any of the configured ports\n');
  return listening.length > 0 && listening.every(({ answer }) => answer === 'ready');
}

const hostOf = ({ host }: Config) => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);

/** null: nobody listens */
async function ask(host: string, port: number): Promise<string | null> {
  try {
    const response = await fetch(`http://${host}:${port}/health/ready`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    return response.ok ? 'ready' : `${response.status} ${await response.text()}`;
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    return cause?.code === 'ECONNREFUSED' ? null : String(error);
  }
}
