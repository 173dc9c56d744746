import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { z } from 'zod';
import { ERRORS, type ErrorCode, type FieldError } from '../../contracts/errors.js';
import { PROVIDERS, type ProviderName } from '../../contracts/providers.js';
import type { Logger } from '../../telemetry/log.js';
import { problemBody } from '../http/problem.js';
import { Behaviour, controlSchema, withoutMarkers } from './behaviour.js';
import { geminiFormat, makeAnswer, openAiFormat, type StubCall, type StubFormat } from './formats.js';
import { HELP } from './help.js';
import { readGemini, readOpenAi, readPlain, UnsupportedParameter } from './requests.js';
import { carryOut, plainFormat, send } from './respond.js';

export interface StubOptions {
  provider: ProviderName;
  model: string;
  latencyMs: number;
  bodyLimitBytes: number;
  log: Logger;
}

const GEMINI_PATH = /^\/v1beta\/models\/([^/:]+):(generateContent|streamGenerateContent)$/;
const PLAIN_PATH = /^\/api\/v1\/([^/]+)\/chat$/;
const CORRELATION = /^[\w.:-]{1,64}$/;

/** A request refused in the shape of the route it came by. */
class Refused extends Error {
  constructor(
    readonly code: ErrorCode,
    detail: string,
    readonly errors?: FieldError[],
  ) {
    super(detail);
  }
}

/**
 * One provider's stub. A bare node:http listener and not Express, as it shares the machine with what the benchmarks measure.
 */
export function createStub({ provider, model, latencyMs, bodyLimitBytes, log }: StubOptions): RequestListener {
  const behaviour = new Behaviour(latencyMs);

  return (req, res) => {
    const path = (req.url ?? '/').split('?', 1)[0] as string;
    const fail = (error: unknown, format: StubFormat | null) => {
      const refusal = refusalOf(error);
      if (refusal === null) log.error({ err: error, provider, path }, 'unexpected error in a stub');
      const { code, message, errors } = refusal ?? new Refused('INTERNAL', 'Something went wrong in the stub');
      if (res.headersSent) return res.destroy();
      if (format) return send(res, ERRORS[code].status, 'application/json', format.error(ERRORS[code].status, message));
      sendProblem(req, res, path, code, message, errors);
    };
    const format = formatOf(path);
    readBody(req, bodyLimitBytes)
      .then((body) => (format ? chat(req, res, path, format, body) : other(req, res, path, body)))
      .catch((error: unknown) => fail(error, format));
  };

  function formatOf(path: string): StubFormat | null {
    if (provider === 'gemini') return GEMINI_PATH.test(path) ? geminiFormat : null;
    return path === '/v1/chat/completions' ? openAiFormat : null;
  }

  /** The provider's own format. */
  function chat(req: IncomingMessage, res: ServerResponse, path: string, format: StubFormat, body: string): void {
    if (req.method !== 'POST') throw new Refused('METHOD_NOT_ALLOWED', `There is no ${req.method} here`);
    const key = provider === 'gemini' ? req.headers['x-goog-api-key'] : /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
    if (!key) throw new Refused('UNAUTHENTICATED', 'No API key was sent; the stub takes any');
    const json = parseBody(body);
    if (format === openAiFormat) return serve(req, res, readOpenAi(json), format);
    const [, named = model, method] = GEMINI_PATH.exec(path) ?? [];
    serve(req, res, readGemini(json, decodeURIComponent(named), method === 'streamGenerateContent'), format);
  }

  function serve(req: IncomingMessage, res: ServerResponse, call: StubCall, format: StubFormat): void {
    const sent = req.headers['idempotency-key'];
    const key = typeof sent === 'string' ? sent : call.prompt;
    const plan = behaviour.begin(key, call.prompt);
    res.once('close', () => behaviour.end());
    const id = createHash('sha1').update(key).digest('hex').slice(0, 24);
    const answer = makeAnswer(provider, id, call, withoutMarkers(call.prompt), plan.usage);
    const act = () => {
      if (!res.destroyed) carryOut(plan, res, format, answer, call.stream);
    };
    if (plan.latencyMs > 0) setTimeout(act, plan.latencyMs);
    else act();
  }

  function other(req: IncomingMessage, res: ServerResponse, path: string, body: string): void {
    const route = `${req.method} ${path}`;
    const plain = PLAIN_PATH.exec(path);
    if (plain && req.method === 'POST') return plainChat(req, res, path, plain[1] ?? '', body);
    switch (route) {
      case 'GET /':
        return send(res, 200, 'text/plain; charset=utf-8', HELP.replaceAll('{provider}', provider));
      case 'GET /health/live':
      case 'GET /health/startup':
      case 'GET /health/ready':
        return sendJson(res, { service: `stub-${provider}`, status: 'ok', timestamp: new Date().toISOString() });
      case 'GET /control':
        return sendJson(res, behaviour.snapshot(new URLSearchParams((req.url ?? '').split('?')[1]).get('consumptionId') ?? undefined));
      case 'PUT /control':
        behaviour.configure(controlSchema.parse(parseBody(body)));
        return sendJson(res, behaviour.snapshot());
      case 'DELETE /control':
        behaviour.reset();
        return sendJson(res, behaviour.snapshot());
      case 'GET /v1/models':
        if (provider !== 'gemini') {
          return sendJson(res, { object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: provider }] });
        }
        break;
      case 'GET /v1beta/models':
        if (provider === 'gemini') {
          return sendJson(res, {
            models: [{ name: `models/${model}`, supportedGenerationMethods: ['generateContent', 'streamGenerateContent'] }],
          });
        }
    }
    throw (plain ?? path === '/control')
      ? new Refused('METHOD_NOT_ALLOWED', `There is no ${route} here`)
      : new Refused('NOT_FOUND', `There is no ${route} here; GET / says what there is`);
  }

  function plainChat(req: IncomingMessage, res: ServerResponse, path: string, named: string, body: string): void {
    if (!(PROVIDERS as readonly string[]).includes(named)) throw new Refused('UNKNOWN_PROVIDER', `There is no provider "${named}"`);
    if (named !== provider) throw new Refused('NOT_FOUND', `This is the stub of ${provider}, not of ${named}`);
    const format = plainFormat(provider, (status, detail) =>
      JSON.stringify({ ...problemBody(codeOf(status), detail, path, correlationOf(req)), status }),
    );
    serve(req, res, readPlain(parseBody(body), model), format);
  }
}

function refusalOf(error: unknown): Refused | null {
  if (error instanceof Refused) return error;
  if (error instanceof UnsupportedParameter) return new Refused('INVALID_REQUEST', error.message);
  if (!(error instanceof z.ZodError)) return null;
  const errors = error.issues.map((issue) => ({ field: issue.path.join('.') || '(body)', message: issue.message }));
  return new Refused('INVALID_REQUEST', errors.map(({ field, message }) => `${field}: ${message}`).join('; '), errors);
}

function parseBody(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw new Refused('MALFORMED_JSON', 'The body could not be parsed as JSON');
  }
}

/** @throws Refused PAYLOAD_TOO_LARGE; the rest of such a body is read and dropped, so that the answer can reach its sender */
function readBody(req: IncomingMessage, limitBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) chunks.push(chunk);
    });
    req.once('end', () => {
      if (size > limitBytes) reject(new Refused('PAYLOAD_TOO_LARGE', `The body is larger than ${limitBytes} bytes`));
      else resolve(Buffer.concat(chunks).toString('utf8'));
    });
    req.once('error', reject);
  });
}

const sendJson = (res: ServerResponse, body: object) => send(res, 200, 'application/json', JSON.stringify(body));

function correlationOf(req: IncomingMessage): string {
  const sent = req.headers['x-correlation-id'];
  return typeof sent === 'string' && CORRELATION.test(sent) ? sent : randomUUID();
}

function codeOf(status: number): ErrorCode {
  const known = Object.keys(ERRORS) as ErrorCode[];
  return known.find((code) => ERRORS[code].status === status) ?? 'INTERNAL';
}

function sendProblem(
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
  code: ErrorCode,
  detail: string,
  errors?: FieldError[],
): void {
  const correlationId = correlationOf(req);
  const body = problemBody(code, detail, path, correlationId, errors ? { errors } : {});
  send(res, body.status, 'application/problem+json', JSON.stringify(body), { 'x-correlation-id': correlationId });
}
