/** The doctor's look at the certificates the listeners serve. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { publicBaseUrl } from '../config/derived.ts';
import type { Config } from '../config/schema.ts';
import { bad, type Finding, good, remark } from './finding.ts';

const dayMs = 86_400_000;
const soonDays = 14;

/** `names` are the hosts that clients and servers connect to. */
export const judgeCertificate = (
  pem: { readonly cert: string; readonly key: string },
  names: readonly string[],
  nowMs: number,
): Finding => {
  const certificate = new X509Certificate(pem.cert);
  const shown = certificate.subjectAltName ?? certificate.subject;
  if (!certificate.checkPrivateKey(createPrivateKey(pem.key))) {
    return bad(`${shown}: the key belongs to another certificate`, 'Set the pair that matches.');
  }
  const ends = Date.parse(certificate.validTo);
  if (Date.parse(certificate.validFrom) > nowMs) {
    return bad(`${shown}: valid only from ${certificate.validFrom}`, 'Is the clock right?');
  }
  if (ends < nowMs) return bad(`${shown}: ended ${certificate.validTo}`, 'Renew it.');
  const missing = names.filter((name) => certificate.checkHost(name) === undefined);
  if (missing.length === names.length && names.length > 0) {
    return bad(`${shown}: names none of ${names.join(', ')}`, 'Have one made for these names.');
  }
  const days = Math.floor((ends - nowMs) / dayMs);
  if (days < soonDays) return remark(`${shown}: ends in ${days} days`, 'Renew it now.');
  return good(`${shown}: valid for ${days} days`);
};

const hostOf = (serverName: string): string => serverName.replace(/:\d+$/, '');

export const checkCertificates = async (config: Config): Promise<Finding[]> => {
  const served = config.listeners.flatMap(({ tls }) => (tls === null ? [] : [tls]));
  if (served.length === 0) return [good('none served here: listeners speak plain HTTP')];
  const names = new Set([
    hostOf(config.server_name),
    new URL(publicBaseUrl(config)).hostname,
    ...(config.well_known.server === null ? [] : [hostOf(config.well_known.server)]),
  ]);
  return Promise.all(
    served.map(async ({ cert, key }) => {
      try {
        const pem = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
        return judgeCertificate(pem, [...names], Date.now());
      } catch (error) {
        return bad(`${cert} or ${key}: ${(error as Error).message}`, 'Set readable PEM files.');
      }
    }),
  );
};
