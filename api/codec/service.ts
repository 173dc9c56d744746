import type { Express, RequestHandler } from 'express';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { wirePayloads, type WirePayload } from '../../contracts/http/codec.js';
import type { Logger } from '../../telemetry/log.js';
import type { Operation } from '../http/openapi.js';
import { createServiceApp, listen, type RunningServer } from '../http/service.js';
import { createAccess, rememberCredentials } from './access.js';
import type { PayloadCipher } from './ports.js';
import { signInOperations, signInPage } from './sign-in.js';

export interface CodecServerOptions {
  config: Config;
  log: Logger;
  cipher: PayloadCipher;
  /** Proves tokens of the auth service */
  authenticate: RequestHandler;
}

const refusals = {
  400: { description: 'Not payloads, or one of them was changed after it was sealed' },
  401: { description: 'Not authenticated' },
  403: { description: 'Not an ADMIN' },
  413: { description: 'Larger than LEAKY_CODEC_BODY_LIMIT_BYTES' },
};

const codecs: Operation[] = (
  [
    ['/decode', 'Open payloads; readable ones, and those whose key is not here, come back as they are'],
    ['/encode', 'Seal payloads with the active key; sealed ones come back as they are'],
  ] as const
).map(([path, summary]) => ({
  method: 'post',
  path,
  summary,
  tag: 'codec',
  body: wirePayloads,
  responses: { 200: { description: 'The payloads, in the same order', schema: wirePayloads }, ...refusals },
}));

export const codecOperations: readonly Operation[] = [...codecs, ...signInOperations];

/** Temporal's remote codec protocol for the Web UI and the CLI: what workers encrypt can be read by those who may. */
export function createCodecApp({ config, log, cipher, authenticate }: CodecServerOptions): Express {
  const { uiOrigins, bodyLimitBytes, token, port } = config.codec;
  const allowed = createAccess(token, authenticate);
  return createServiceApp({
    name: 'codec-server',
    title: 'Leaky Tokens: codec server',
    config: { ...config, http: { ...config.http, corsOrigins: uiOrigins, bodyLimitBytes } },
    corsCredentials: true,
    log,
    operations: codecOperations,
    authenticate: allowed,
    serverUrl: `http://${config.host}:${port}`,
    routes: (router) => {
      signInPage(router);
      router.post('/session', (req, res) => {
        rememberCredentials(req, res);
        res.status(204).end();
      });
      router.post('/encode', async (req, res) => {
        const { payloads } = wirePayloads.parse(req.body);
        res.json({ payloads: await Promise.all(payloads.map((payload) => cipher.seal(payload))) });
      });
      router.post('/decode', async (req, res) => {
        const { payloads } = wirePayloads.parse(req.body);
        res.json({ payloads: await Promise.all(payloads.map((payload, index) => openOne(cipher, payload, index))) });
      });
    },
  });
}

/** An old history under a key that has gone must not keep the UI from showing the rest: it stays as it is, with the key's id in it. */
async function openOne(cipher: PayloadCipher, payload: WirePayload, index: number): Promise<WirePayload> {
  const opened = await cipher.open(payload);
  if (opened === 'TAMPERED') throw new Problem('INVALID_REQUEST', `payloads.${index} is not what its key has sealed`);
  return opened === 'UNKNOWN_KEY' ? payload : opened;
}

/** @throws Error when the port is taken */
export function startCodecServer(options: CodecServerOptions): Promise<RunningServer> {
  const { host, codec, http } = options.config;
  return listen(createCodecApp(options), host, codec.port, http);
}
