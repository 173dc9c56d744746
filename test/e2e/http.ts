import assert from 'node:assert/strict';
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Name and value by turns, as they came: shows what was sent twice */
  rawHeaders: string[];
  text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests assert on the shape
  body: any;
}

export interface CallOptions {
  /** Sent as JSON */
  body?: unknown;
  /** Sent as it is, instead of `body` */
  raw?: string | Buffer;
  token?: string | undefined;
  key?: string | undefined;
  headers?: Record<string, string | string[]>;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const TIMEOUT_MS = 30_000;
let address = 0;

/** An address nobody else has, for limits that count by address: the system trusts X-Forwarded-For of this machine. */
export const ownAddress = (): string => `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${++address & 255}`;

/** One request over real HTTP. `fetch` would tidy paths and headers, which is what the tests want to see untidied. */
export function call(base: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { host, port } = splitHost(base);
  const payload = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const headers: Record<string, string | string[]> = {
    'X-Forwarded-For': ownAddress(),
    ...(payload !== undefined && { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(payload)) }),
    ...(options.token !== undefined && { Authorization: `Bearer ${options.token}` }),
    ...(options.key !== undefined && { 'X-Api-Key': options.key }),
    ...options.headers,
  };
  return new Promise((resolve, reject) => {
    const req = request({ host, port, method, path, headers, agent, timeout: TIMEOUT_MS }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.once('error', reject);
      res.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const isJson = /[/+]json/.test(res.headers['content-type'] ?? '');
        const body: unknown = isJson && text !== '' ? JSON.parse(text) : null;
        resolve({ status: res.statusCode ?? 0, headers: res.headers, rawHeaders: res.rawHeaders, text, body });
      });
    });
    req.once('timeout', () => req.destroy(new Error(`no answer to ${method} ${path.slice(0, 200)} in ${TIMEOUT_MS} ms`)));
    req.once('error', reject);
    req.end(payload);
  });
}

export const splitHost = (base: string): { host: string; port: number } => {
  const { hostname, port } = new URL(base);
  return { host: hostname, port: Number(port) };
};

/** Bytes as no well-behaved client would send them; resolves with all that came back until the end or a second of silence. */
export function sendBytes(base: string, bytes: string | Buffer): Promise<string> {
  const { host, port } = splitHost(base);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, host, () => socket.write(bytes));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    // A reset after the answer is as good as an end: what had come counts.
    socket.once('error', () => resolve(answer));
    socket.once('close', () => resolve(answer));
  });
}

const MEMBERS = ['type', 'title', 'status', 'detail', 'code', 'message', 'timestamp', 'path', 'correlationId'];
const LEAKS = /node_modules|\.js:\d+|\.ts:\d+|\bat [\w.<>]+ \(|SELECT |INSERT |ECONN|postgres:\/\//;

/** Every refusal has this one shape, names no inner thing, and its correlation id is the header's. */
export function assertProblem(answer: Answer, status: number, code?: string): void {
  const shown = `${answer.status} ${answer.text.slice(0, 500)}`;
  assert.equal(answer.status, status, shown);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/, shown);
  for (const member of MEMBERS) assert.ok(Object.hasOwn(answer.body as object, member), `no member "${member}": ${shown}`);
  assert.equal(answer.body.status, status, shown);
  assert.ok(!Number.isNaN(Date.parse(answer.body.timestamp)), shown);
  assert.equal(answer.body.correlationId, answer.headers['x-correlation-id'], shown);
  assert.doesNotMatch(answer.text, LEAKS, 'the inside of the program shows');
  if (code !== undefined) assert.equal(answer.body.code, code, shown);
}

/** Bad input: whatever its kind, some 4xx in that shape. */
export function assertClientError(answer: Answer): void {
  assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text.slice(0, 500)}`);
  assertProblem(answer, answer.status);
}
