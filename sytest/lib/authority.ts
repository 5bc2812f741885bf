/**
 * A certificate authority for tests: one root made on the spot, trusted by the
 * servers under test through `federation.trusted_ca_file`, and certificates for
 * the names they answer to.
 */

import { generateKeyPairSync } from 'node:crypto';
import forge from 'node-forge';

export interface Certificate {
  readonly certPem: string;
  readonly keyPem: string;
}

const DAY_MS = 24 * 3600 * 1000;

export class Authority {
  readonly certPem: string;
  readonly keyPem: string;
  /** All certificates share one key: making a key is what costs time. */
  readonly #leafKeys: { publicPem: string; keyPem: string };

  /** Makes a new root, or takes one made elsewhere so that another process can issue under it. */
  constructor(existing?: Certificate) {
    this.#leafKeys = makeKeys();
    if (existing) {
      this.certPem = existing.certPem;
      this.keyPem = existing.keyPem;
      return;
    }
    const keys = makeKeys();
    this.keyPem = keys.keyPem;
    this.certPem = sign({
      subject: 'Parley test authority',
      issuer: 'Parley test authority',
      publicPem: keys.publicPem,
      issuerKeyPem: keys.keyPem,
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    });
  }

  /** A certificate valid now for DNS names and IP addresses alike. */
  issue(...hosts: readonly string[]): Certificate {
    const certPem = sign({
      subject: hosts[0]!,
      issuer: 'Parley test authority',
      publicPem: this.#leafKeys.publicPem,
      issuerKeyPem: this.keyPem,
      extensions: [
        { name: 'basicConstraints', cA: false },
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: hosts.map(altName) },
      ],
    });
    return { certPem, keyPem: this.#leafKeys.keyPem };
  }
}

function altName(host: string): object {
  const isIp = /^[\d.]+$/.test(host) || host.includes(':');
  return isIp ? { type: 7, ip: host } : { type: 2, value: host };
}

function makeKeys(): { publicPem: string; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    // PKCS#1, which is what node-forge reads.
    keyPem: privateKey.export({ type: 'pkcs1', format: 'pem' }) as string,
  };
}

function sign(options: {
  subject: string;
  issuer: string;
  publicPem: string;
  issuerKeyPem: string;
  extensions: object[];
}): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(options.publicPem);
  certificate.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(12))}`;
  certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + 30 * DAY_MS);
  certificate.setSubject([{ name: 'commonName', value: options.subject }]);
  certificate.setIssuer([{ name: 'commonName', value: options.issuer }]);
  certificate.setExtensions(options.extensions);
  certificate.sign(forge.pki.privateKeyFromPem(options.issuerKeyPem), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}
