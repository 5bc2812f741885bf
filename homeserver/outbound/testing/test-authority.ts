/** A certificate authority for tests: makes server certificates and the trust that accepts them. */
import { generateKeyPairSync } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { makeCertificate } from './certificate.ts';

const DAY_MS = 24 * 60 * 60_000;

/** For `https.createServer`. */
export interface ServerCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface TestAuthority {
  /** The authority's own certificate: what a `trusted_ca_file` would hold. */
  readonly caPem: string;
  /** Trusts this authority and nothing else. */
  readonly trust: SecureContext;
  /** A certificate for hostnames and IP literals, valid now unless `expired`. */
  issue(names: readonly string[], options?: { expired?: boolean }): ServerCertificate;
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

export const createTestAuthority = (subject = 'Test Authority'): TestAuthority => {
  const ca = newKey();
  const nowMs = Date.now();
  const from = { issuer: subject, issuerKey: ca.privateKey };
  const caPem = makeCertificate({
    ...from,
    subject,
    publicKey: ca.publicKey,
    notBeforeMs: nowMs - 10 * DAY_MS,
    notAfterMs: nowMs + 10 * DAY_MS,
  });
  return {
    caPem,
    trust: createSecureContext({ ca: caPem }),
    issue: (names, { expired = false } = {}) => {
      const { publicKey, privateKey } = newKey();
      const cert = makeCertificate({
        ...from,
        subject: names[0] ?? 'test server',
        publicKey,
        notBeforeMs: nowMs - 5 * DAY_MS,
        notAfterMs: expired ? nowMs - DAY_MS : nowMs + 5 * DAY_MS,
        names,
      });
      return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert };
    },
  };
};
