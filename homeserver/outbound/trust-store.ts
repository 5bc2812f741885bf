/**
 * The certificate authorities outbound TLS trusts: the operating system's, plus those the operator
 * adds.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#tls
 */
import { existsSync, readFileSync } from 'node:fs';
import tls from 'node:tls';

/** Where the common distributions keep the system's authorities, as one PEM file. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/usr/local/share/certs/ca-root-nss.crt',
];

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const certificatesIn = (pem: string): string[] => pem.match(CERTIFICATE) ?? [];

/** The system's authorities; the ones Node brings along where the system has none. */
export const systemAuthorities = (): readonly string[] => {
  const bundle = [process.env['SSL_CERT_FILE'], ...SYSTEM_BUNDLES].find(
    (path) => path !== undefined && existsSync(path),
  );
  const system = bundle === undefined ? [] : certificatesIn(readFileSync(bundle, 'utf8'));
  return system.length > 0 ? system : tls.rootCertificates;
};

/**
 * Read once at start; it costs some ten milliseconds.
 * @param trustedCaFile PEM file of further authorities
 * @throws when the file cannot be read or has no certificate in it
 */
export const createTrustStore = (trustedCaFile?: string): tls.SecureContext => {
  const added =
    trustedCaFile === undefined ? [] : certificatesIn(readFileSync(trustedCaFile, 'utf8'));
  if (trustedCaFile !== undefined && added.length === 0) {
    throw new Error(`${trustedCaFile} has no certificate in PEM format`);
  }
  return tls.createSecureContext({ ca: [...systemAuthorities(), ...added] });
};
