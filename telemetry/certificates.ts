import { X509Certificate } from 'node:crypto';
import { Gauge } from 'prom-client';
import { registry } from './metrics.js';

const notAfter = new Gauge({
  name: 'leaky_certificate_not_after_seconds',
  help: 'When the first certificate of a configured PEM text expires, by the server it is for and its kind (client or ca)',
  labelNames: ['use', 'kind'],
  registers: [registry],
});

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** What can't be read here fails where it is used, with a message of its own. */
export function reportCertificate(use: string, kind: 'client' | 'ca', pem: string): void {
  const ends = (pem.match(CERTIFICATE) ?? []).flatMap((one) => {
    try {
      return [Date.parse(new X509Certificate(one).validTo) / 1000];
    } catch {
      return [];
    }
  });
  if (ends.length > 0) notAfter.set({ use, kind }, Math.min(...ends));
}
