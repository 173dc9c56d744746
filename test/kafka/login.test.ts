import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { openKafka, setUpTopics } from '../../compose/kafka.js';
import { createResources } from '../../compose/resources.js';
import { ConfigError, loadConfig } from '../../config.js';
import { event } from '../analytics/events.js';
import { startOwnBroker, type OwnBroker } from './own-broker.js';
import { log } from './support.js';

describe('Kafka over TLS and with a login', function () {
  this.timeout(60_000);
  let broker: OwnBroker;
  const prefix = `login${randomBytes(3).toString('hex')}.`;
  before(async () => {
    broker = await startOwnBroker();
    const plain = environment({ LEAKY_KAFKA_BROKERS: broker.plain });
    await setUpTopics(loadConfig(plain), log);
  });

  const environment = (more: Record<string, string>) => ({
    LEAKY_KAFKA_TOPIC_PREFIX: prefix,
    LEAKY_KAFKA_REPLICATION_FACTOR: '1',
    LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '1',
    ...more,
  });
  async function publishWith(more: Record<string, string>): Promise<void> {
    const resources = createResources({ config: loadConfig(environment(more)), log });
    try {
      await resources.events().usage.publish([event()]);
    } finally {
      await resources.close();
    }
  }
  const overTls = () => ({ LEAKY_KAFKA_BROKERS: broker.tls, LEAKY_KAFKA_TLS: 'true', LEAKY_KAFKA_TLS_CA_FILE: broker.authority.caFile });
  const withLogin = (mechanism: string, password = broker.user.password) => ({
    LEAKY_KAFKA_BROKERS: broker.saslTls,
    LEAKY_KAFKA_TLS: 'true',
    LEAKY_KAFKA_TLS_CA_FILE: broker.authority.caFile,
    LEAKY_KAFKA_SASL_MECHANISM: mechanism,
    LEAKY_KAFKA_SASL_USERNAME: broker.user.username,
    LEAKY_KAFKA_SASL_PASSWORD: password,
  });

  it('publishes with a client certificate that the broker trusts, and not without', async () => {
    const { certFile, keyFile } = broker.authority.issue('leaky', { client: true });
    await publishWith({ ...overTls(), LEAKY_KAFKA_TLS_CERT_FILE: certFile, LEAKY_KAFKA_TLS_KEY_FILE: keyFile });
    await assert.rejects(publishWith(overTls()));
  });

  it('refuses a broker whose certificate it has no reason to trust', async () => {
    await assert.rejects(
      publishWith({ ...withLogin('plain'), LEAKY_KAFKA_TLS_CA_FILE: broker.authority.issue('other').certFile }),
      /certificate|self/i,
    );
    await assert.rejects(publishWith({ ...withLogin('plain'), LEAKY_KAFKA_TLS_SERVER_NAME: 'elsewhere.example' }), /altnames|certificate/i);
  });

  for (const mechanism of ['plain', 'scram-sha-256']) {
    it(`logs in by ${mechanism}, and a wrong password is said to be one`, async () => {
      await publishWith(withLogin(mechanism));
      await assert.rejects(publishWith(withLogin(mechanism, 'wrong')), /authentication/i);
    });
  }

  it('a login without its parts is a fault of the configuration, told at once', () => {
    const incomplete = { LEAKY_KAFKA_BROKERS: broker.saslTls, LEAKY_KAFKA_SASL_MECHANISM: 'plain' };
    const open = () => openKafka(loadConfig(environment(incomplete)), log);
    assert.throws(open, (error) => error instanceof ConfigError && /USERNAME[^]*PASSWORD/.test(error.message));
  });
});
