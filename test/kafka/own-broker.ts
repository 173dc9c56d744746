import { freePortBlock } from '../../embedded/ports.js';
import { layCable, type Cable } from '../support/cable.js';
import { createAuthority, KEYSTORE_PASSWORD } from '../support/certificates.js';
import { native } from '../support/provide.js';
import { atEnd } from '../support/servers.js';

export interface OwnBroker {
  /** Each listener of the same broker, as LEAKY_KAFKA_BROKERS */
  plain: string;
  /** Through `cable` */
  cabled: string;
  /** Wants a client certificate */
  tls: string;
  /** Wants a login */
  saslTls: string;
  cable: Cable;
  authority: ReturnType<typeof createAuthority>;
  user: { username: string; password: string };
}

let broker: Promise<OwnBroker> | undefined;

/** A native broker with listeners that the shared one has not, once for the mocha run. Needs Java, as no container can be cabled so. */
export const startOwnBroker = (): Promise<OwnBroker> => (broker ??= start());

async function start(): Promise<OwnBroker> {
  const port = await freePortBlock(5);
  const address = (offset: number) => `127.0.0.1:${port + offset}`;
  const cable = await layCable(port + 2);
  atEnd(() => cable.close());
  const authority = createAuthority('kafka');
  const { keystoreFile } = authority.issue('broker');
  const user = { username: 'leaky', password: 'brokers-only-secret' };
  const login = 'org.apache.kafka.common.security';
  const lines = [
    `listeners=PLAINTEXT://${address(0)},CONTROLLER://${address(1)},CABLED://${address(2)},SSL://${address(3)},SASL_SSL://${address(4)}`,
    `advertised.listeners=PLAINTEXT://${address(0)},CABLED://127.0.0.1:${cable.port},SSL://${address(3)},SASL_SSL://${address(4)}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CABLED:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL',
    'ssl.keystore.type=PKCS12',
    `ssl.keystore.location=${keystoreFile}`,
    `ssl.keystore.password=${KEYSTORE_PASSWORD}`,
    'ssl.truststore.type=PEM',
    `ssl.truststore.location=${authority.caFile}`,
    'listener.name.ssl.ssl.client.auth=required',
    'listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256',
    `listener.name.sasl_ssl.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required user_${user.username}="${user.password}";`,
    `listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=${login}.scram.ScramLoginModule required;`,
  ];
  const environment = () =>
    Promise.resolve({
      KAFKA_EXTRA: lines.join('\n'),
      KAFKA_FORMAT: `--add-scram SCRAM-SHA-256=[name=${user.username},password=${user.password}]`,
    });
  await native({ name: 'Kafka', variable: 'LEAKY_TEST_KAFKA_BROKERS', script: 'kafka', ports: 5, containers: () => [], environment }, port);
  return { plain: address(0), cabled: `127.0.0.1:${cable.port}`, tls: address(3), saslTls: address(4), cable, authority, user };
}
