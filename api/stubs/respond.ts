import type { ServerResponse } from 'node:http';
import type { Plan } from './behaviour.js';
import { refusalsOf } from './refusals.js';
import { openAiFormat, type StubAnswer, type StubFormat } from './formats.js';

/** More than any client takes for a chat completion */
const HUGE_BYTES = 5 * 1024 * 1024;
const HTML = '<!doctype html><html><body><h1>It works!</h1></body></html>';

export function send(res: ServerResponse, status: number, contentType: string, body: string, headers: Record<string, string> = {}): void {
  res.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body), ...headers });
  res.end(body);
}

/** Carries out a plan once its latency is over. Only this file misbehaves on the wire. */
export function carryOut(plan: Plan, res: ServerResponse, format: StubFormat, answer: StubAnswer, stream: boolean): void {
  switch (plan.mode) {
    case 'hang':
      return;
    case 'fail':
      return sendError(plan, res, format, 500, 'The stub was told to fail');
    case 'status':
      return sendError(plan, res, format, plan.status, `The stub was told to answer ${plan.status}`);
    case 'cut':
      return stream ? void sendEvents(plan, res, format.events(answer, null), true) : cutShort(res, format.answer(answer, null));
    case 'refuse': {
      const refusals = refusalsOf(format);
      const { status, body, events } = refusals[plan.refusal];
      if (stream && events) return void sendEvents(plan, res, events, false);
      return send(res, status, 'application/json', body);
    }
    case 'nonsense':
      return sendNonsense(plan, res, format, answer, stream);
    case 'ok':
      return stream
        ? void sendEvents(plan, res, format.events(answer, null), false)
        : send(res, 200, 'application/json', format.answer(answer, null));
  }
}

function sendError(plan: Plan, res: ServerResponse, format: StubFormat, status: number, message: string): void {
  const headers = plan.retryAfterSeconds === null ? {} : { 'retry-after': String(plan.retryAfterSeconds) };
  send(res, status, format.errorType ?? 'application/json', format.error(status, message), headers);
}

/** Promises the whole body, sends half of it and closes the connection. */
function cutShort(res: ServerResponse, body: string): void {
  const bytes = Buffer.from(body);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.write(bytes.subarray(0, bytes.length >> 1), () => res.destroy());
}

function sendNonsense(plan: Plan, res: ServerResponse, format: StubFormat, answer: StubAnswer, stream: boolean): void {
  switch (plan.nonsense) {
    case 'html':
      return send(res, 200, 'text/html; charset=utf-8', HTML);
    case 'json':
      return stream
        ? void sendEvents(plan, res, ['{"choices": [{'], false)
        : send(res, 200, 'application/json', '{"choices": [{"message": ');
    case 'empty':
      return send(res, 200, stream ? 'text/event-stream' : 'application/json', '');
    case 'huge':
      return send(res, 200, 'application/json', JSON.stringify({ padding: 'x'.repeat(HUGE_BYTES) }));
    default:
      return stream
        ? void sendEvents(plan, res, format.events(answer, plan.nonsense), false)
        : send(res, 200, 'application/json', format.answer(answer, plan.nonsense));
  }
}

/** Server-sent events, `chunkDelayMs` apart. A cut stream ends in the middle, its connection with it. */
async function sendEvents(plan: Plan, res: ServerResponse, events: string[], cut: boolean): Promise<void> {
  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const count = cut ? Math.ceil(events.length / 2) : events.length;
  for (const data of events.slice(0, count)) {
    if (res.destroyed) return;
    await new Promise<void>((resolve) => {
      // Also called, with an error, when the client has gone.
      res.write(`data: ${data}\n\n`, () => resolve());
    });
    if (plan.chunkDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, plan.chunkDelayMs));
  }
  if (cut) res.destroy();
  else res.end();
}

/** POST /api/v1/{provider}/chat: no real provider's format, so its errors are problems like those of every service. */
export function plainFormat(provider: string, problem: (status: number, detail: string) => string): StubFormat {
  return {
    ...openAiFormat,
    answer: (answer, nonsense) => JSON.stringify({ id: answer.id, provider, ...(nonsense !== 'missing' && { message: answer.text }) }),
    error: problem,
    errorType: 'application/problem+json',
  };
}
