import assert from 'node:assert/strict';
import { PROVIDERS } from '../../contracts/providers.js';
import { Bench } from './setup.js';

describe('a provider stub', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.start();
  });
  afterEach(() => bench.reset());
  after(() => bench.stop());

  const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

  for (const provider of PROVIDERS) {
    it(`of ${provider} answers {prompt} with {id, provider, message}, the same each time`, async () => {
      const answers = await Promise.all(
        [1, 2].map(async () => {
          const res = await post(`${bench.url(provider)}/api/v1/${provider}/chat`, { prompt: 'hello' });
          assert.equal(res.status, 200);
          return (await res.json()) as Record<string, unknown>;
        }),
      );
      assert.deepEqual(Object.keys(answers[0] ?? {}).sort(), ['id', 'message', 'provider']);
      assert.deepEqual(answers[0], answers[1]);
    });
  }

  const problems: [string, string, string, string | undefined, number, string][] = [
    ['an unknown route', 'GET', '/nothing', undefined, 404, 'NOT_FOUND'],
    ['an unknown provider', 'POST', '/api/v1/claude/chat', '{"prompt":"x"}', 400, 'UNKNOWN_PROVIDER'],
    ["another stub's provider", 'POST', '/api/v1/qwen/chat', '{"prompt":"x"}', 404, 'NOT_FOUND'],
    ['no prompt', 'POST', '/api/v1/openai/chat', '{}', 400, 'INVALID_REQUEST'],
    ['malformed JSON', 'POST', '/api/v1/openai/chat', '{"prompt"', 400, 'MALFORMED_JSON'],
    ['a body over the limit', 'POST', '/api/v1/openai/chat', `{"prompt":"${'x'.repeat(1_100_000)}"}`, 413, 'PAYLOAD_TOO_LARGE'],
    ['a wrong method', 'POST', '/control', '{}', 405, 'METHOD_NOT_ALLOWED'],
    ['an unknown mode', 'PUT', '/control', '{"mode":"sing"}', 400, 'INVALID_REQUEST'],
    ['a negative latency', 'PUT', '/control', '{"latencyMs":-1}', 400, 'INVALID_REQUEST'],
    ['a fail rate over 1', 'PUT', '/control', '{"failRate":1.5}', 400, 'INVALID_REQUEST'],
    ['a control body that is no object', 'PUT', '/control', '7', 400, 'INVALID_REQUEST'],
    ['a prompt that asks for it', 'POST', '/api/v1/openai/chat', '{"prompt":"[stub:status=429]"}', 429, 'RATE_LIMITED'],
  ];
  for (const [what, method, path, body, status, code] of problems) {
    it(`answers ${what} with a ${status} problem`, async () => {
      const res = await fetch(bench.url('openai') + path, { method, ...(body !== undefined && { body }) });
      assert.equal(res.status, status);
      assert.equal(res.headers.get('content-type'), 'application/problem+json');
      const problem = (await res.json()) as Record<string, unknown>;
      assert.equal(problem.code, code);
      assert.equal(problem.status, status);
      assert.equal(problem.path, path);
    });
  }

  it("answers bad requests in the provider's own shape", async () => {
    const openai = `${bench.url('openai')}/v1/chat/completions`;
    const noKey = await post(openai, chat);
    assert.equal(noKey.status, 401);
    assert.equal(((await noKey.json()) as { error: { code: string } }).error.code, 'invalid_api_key');
    const bad = await post(openai, { model: 'm' }, { authorization: 'Bearer x' });
    assert.equal(bad.status, 400);
    assert.match(((await bad.json()) as { error: { message: string } }).error.message, /messages/);
    const google = await post(`${bench.url('gemini')}/v1beta/models/m:generateContent`, '{', { 'x-goog-api-key': 'x' });
    assert.equal(google.status, 400);
    assert.equal(((await google.json()) as { error: { status: string } }).error.status, 'INVALID_ARGUMENT');
  });

  it('streams OpenAI events that end with usage and [DONE]', async () => {
    const res = await post(`${bench.url('openai')}/v1/chat/completions`, { ...chat, stream: true }, { authorization: 'Bearer x' });
    assert.match(res.headers.get('content-type') ?? '', /^text\/event-stream/);
    const events = (await res.text()).trim().split('\n\n');
    assert.equal(events.at(-1), 'data: [DONE]');
    assert.match(events.at(-2) ?? '', /"usage"/);
  });

  it('fails exactly the share of calls it was told to', async () => {
    await bench.control('openai', { failRate: 0.25 });
    const statuses: number[] = [];
    for (let i = 0; i < 12; i += 1) statuses.push((await post(`${bench.url('openai')}/api/v1/openai/chat`, { prompt: `p${i}` })).status);
    assert.equal(statuses.filter((status) => status === 500).length, 3);
    assert.equal(statuses.filter((status) => status === 200).length, 9);
    const { calls } = await bench.snapshot('openai');
    assert.equal(calls.total, 12);
    assert.equal(calls.byMode.fail, 3);
    assert.equal(calls.distinctConsumptions, 12);
  });

  it('forgets settings and counts when it is reset', async () => {
    await bench.control('openai', { mode: 'fail', latencyMs: 5 });
    await post(`${bench.url('openai')}/api/v1/openai/chat`, { prompt: 'x' });
    await bench.reset();
    const { calls, settings } = await bench.snapshot('openai');
    assert.equal(calls.total, 0);
    assert.equal(settings.mode, 'ok');
    assert.equal(settings.latencyMs, 0);
  });
});
