import assert from 'node:assert/strict';
import { freePort } from '../../embedded/ports.js';
import { eventually } from '../support/eventually.js';
import { startLeaky, type LeakyService } from '../support/leaky-service.js';

describe('the end of a service', function () {
  this.timeout(60_000);

  async function stubs(settings: Record<string, string> = {}): Promise<LeakyService & { url: string }> {
    const [qwen, gemini, openai] = await Promise.all([freePort(), freePort(), freePort()]);
    const service = startLeaky('stubs', {
      LEAKY_STUB_QWEN_PORT: String(qwen),
      LEAKY_STUB_GEMINI_PORT: String(gemini),
      LEAKY_STUB_OPENAI_PORT: String(openai),
      ...settings,
    });
    const url = `http://127.0.0.1:${openai}`;
    await eventually('the stub answers', () => statusOf(`${url}/health/startup`).then((status) => status === 200), 30_000);
    return { ...service, url };
  }

  const ask = (url: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer stub' },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Why do buckets leak?' }] }),
    });

  it('waits for requests in flight and leaves with code 0', async () => {
    const service = await stubs({ LEAKY_STUB_LATENCY_MS: '800' });
    const answer = ask(service.url);
    await eventually('the request has arrived', () => inFlight(service.url));
    service.process.kill('SIGTERM');
    assert.equal((await answer).status, 200);
    assert.equal(await service.ended, 0);
  });

  it('is not put off beyond its limit, and says so', async () => {
    const service = await stubs({ LEAKY_STUB_LATENCY_MS: '30000', LEAKY_SHUTDOWN_GRACE_MS: '30000', LEAKY_SHUTDOWN_LIMIT_MS: '300' });
    const answer = ask(service.url);
    await eventually('the request has arrived', () => inFlight(service.url));
    service.process.kill('SIGTERM');
    await assert.rejects(answer);
    assert.equal(await service.ended, 1);
    assert.match(service.output(), /not stopped within 0\.3 s; ending now/);
  });

  it('comes also when nobody reads its output any more', async () => {
    const service = await stubs();
    await eventually('it has written', () => service.output().includes('started'));
    service.process.stdout?.destroy();
    service.process.kill('SIGTERM');
    assert.equal(await service.ended, 0);
  });
});

const statusOf = (url: string): Promise<number | null> =>
  fetch(url).then(
    (response) => response.status,
    () => null,
  );

async function inFlight(url: string): Promise<boolean> {
  const response = await fetch(`${url}/control`);
  const { calls } = (await response.json()) as { calls: { inFlight: number } };
  return calls.inFlight > 0;
}
