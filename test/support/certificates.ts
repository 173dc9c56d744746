import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from './servers.js';

export interface Certificate {
  /** Paths of PEM files */
  certFile: string;
  keyFile: string;
  /** The same as text */
  cert: string;
  key: string;
  /** PKCS#12 of key and chain, for Java servers; see `KEYSTORE_PASSWORD` */
  keystoreFile: string;
}

export interface IssueOptions {
  /** What the certificate proves: a server by these names, by default this machine … */
  hosts?: readonly string[];
  /** … or a client by its common name */
  client?: boolean;
}

export interface Authority {
  folder: string;
  caFile: string;
  ca: string;
  issue(commonName: string, options?: IssueOptions): Certificate;
}

export const KEYSTORE_PASSWORD = 'changeit';
const THIS_MACHINE = ['localhost', '127.0.0.1'];
const DAYS = '2';

/**
 * A certificate authority of its own, by the openssl command: real certificates for TLS tests. The files go with the mocha run.
 * Two authorities do not trust each other. A server that runs as another user needs its own copy of the key, or the folder.
 */
export function createAuthority(name = 'ca'): Authority {
  const folder = temporaryFolder('tls');
  const file = (base: string) => path.join(folder, base);
  const caFile = file(`${name}.crt`);
  const caKeyFile = file(`${name}.key`);
  const authority = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'].flatMap((text) => ['-addext', text]);
  openssl('req', '-x509', ...newKey(caKeyFile), '-out', caFile, '-days', DAYS, '-subj', `/CN=Test authority ${name}`, ...authority);

  const issue = (commonName: string, { hosts = THIS_MACHINE, client = false }: IssueOptions = {}): Certificate => {
    const base = `${commonName}-${++issued}`;
    const [certFile, keyFile, request, extensions, keystoreFile] = ['crt', 'key', 'csr', 'ext', 'p12'].map((kind) =>
      file(`${base}.${kind}`),
    );
    if (!certFile || !keyFile || !request || !extensions || !keystoreFile) throw new Error('unreachable');
    openssl('req', '-new', ...newKey(keyFile), '-out', request, '-subj', `/CN=${commonName}`);
    const names = hosts.map((host) => (/^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`)).join(',');
    const uses = client ? ['extendedKeyUsage=clientAuth'] : ['extendedKeyUsage=serverAuth,clientAuth', `subjectAltName=${names}`];
    writeFileSync(extensions, ['basicConstraints=CA:FALSE', ...uses].join('\n'));
    const signed = ['-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial', '-extfile', extensions, '-days', DAYS];
    openssl('x509', '-req', '-in', request, '-out', certFile, ...signed);
    const chain = ['-in', certFile, '-inkey', keyFile, '-certfile', caFile, '-name', commonName];
    openssl('pkcs12', '-export', ...chain, '-out', keystoreFile, '-passout', `pass:${KEYSTORE_PASSWORD}`);
    return { certFile, keyFile, keystoreFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  };
  return { folder, caFile, ca: readFileSync(caFile, 'utf8'), issue };
}

let issued = 0;

const newKey = (keyFile: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];

/** @throws Error with what openssl said */
function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
