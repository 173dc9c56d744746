import type { Payload } from '@temporalio/common';
import { createMemoryKeyRevocations } from '../adapters/memory/key-revocations.js';
import type { PayloadCipher } from '../api/codec/ports.js';
import { startCodecServer } from '../api/codec/service.js';
import { createAuthenticator } from '../api/http/authenticate.js';
import { createServiceFetch } from '../api/http/service-fetch.js';
import { fixedServices } from '../api/http/services.js';
import { createRemoteStanding } from '../api/identity/remote-standing.js';
import { ConfigError } from '../config.js';
import type { WirePayload } from '../contracts/http/codec.js';
import { createPayloadCodec, PayloadKeyError, PayloadTamperedError, type PayloadKeys } from '../temporal-config/payload-codec.js';
import { serverPart, type Compose } from './service.js';
import { payloadKeys } from './temporal.js';

export const composeCodecServer: Compose = async (resources) => {
  const { config, log } = resources;
  const keys = payloadKeys(config);
  if (!keys) throw new ConfigError('LEAKY_PAYLOAD_KEYS: required here, with the keys of the workers');
  // Only an ADMIN is let in, and the auth service is asked whether one still is: no news are needed, nor the database they come by.
  const standing = createRemoteStanding(createServiceFetch(fixedServices(config.services), 'auth'));
  const authenticator = createAuthenticator({ config, log, revocations: createMemoryKeyRevocations(), standing });
  const server = await startCodecServer({ config, log, cipher: createCipher(keys), authenticate: authenticator.required });
  const part = serverPart('codec server', server, resources);
  return { ...part, stop: () => part.stop().finally(() => authenticator.close()) };
};

export function createCipher(keys: PayloadKeys): PayloadCipher {
  const codec = createPayloadCodec(keys);
  return {
    seal: async (payload) => toWire((await codec.encode([fromWire(payload)]))[0]),
    async open(payload) {
      try {
        return toWire((await codec.decode([fromWire(payload)]))[0]);
      } catch (error) {
        if (error instanceof PayloadKeyError) return 'UNKNOWN_KEY';
        if (error instanceof PayloadTamperedError) return 'TAMPERED';
        throw error;
      }
    },
  };
}

const fromWire = ({ metadata, data }: WirePayload): Payload => ({
  metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  data: Buffer.from(data, 'base64'),
});

const toWire = (payload: Payload = {}): WirePayload => ({
  metadata: Object.fromEntries(Object.entries(payload.metadata ?? {}).map(([name, value]) => [name, base64(value)])),
  data: base64(payload.data),
});

const base64 = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
