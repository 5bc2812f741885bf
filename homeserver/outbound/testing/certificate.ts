/**
 * Just enough of X.509 to make certificates for tests: DER written by hand, signed by node:crypto.
 *
 * https://www.rfc-editor.org/rfc/rfc5280#section-4.1
 */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import ipaddr from 'ipaddr.js';

const tlv = (tag: number, ...contents: Buffer[]): Buffer => {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
};

const sequence = (...items: Buffer[]) => tlv(0x30, ...items);
const set = (...items: Buffer[]) => tlv(0x31, ...items);
const octets = (content: Buffer) => tlv(0x04, content);
const bits = (content: Buffer, unusedBits = 0) => tlv(0x03, Buffer.from([unusedBits]), content);
const text = (value: string) => tlv(0x0c, Buffer.from(value, 'utf8'));
const yes = Buffer.from([0x01, 0x01, 0xff]);
const integer = (value: Buffer) => tlv(0x02, value);

/** Object identifiers, already encoded. */
const oid = (hex: string) => tlv(0x06, Buffer.from(hex, 'hex'));
const ECDSA_WITH_SHA256 = oid('2a8648ce3d040302');
const COMMON_NAME = oid('550403');
const BASIC_CONSTRAINTS = oid('551d13');
const KEY_USAGE = oid('551d0f');
const EXTENDED_KEY_USAGE = oid('551d25');
const SUBJECT_ALT_NAME = oid('551d11');
const SERVER_AUTH = oid('2b06010505070301');

const name = (commonName: string) => sequence(set(sequence(COMMON_NAME, text(commonName))));

/** `YYYYMMDDHHMMSSZ` */
const time = (ms: number) =>
  tlv(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\.\d+Z$/g, '')}Z`, 'ascii'));

const extension = (id: Buffer, value: Buffer, critical = false) =>
  critical ? sequence(id, yes, octets(value)) : sequence(id, octets(value));

const alternativeName = (hostOrIp: string): Buffer =>
  ipaddr.isValid(hostOrIp)
    ? tlv(0x87, Buffer.from(ipaddr.parse(hostOrIp).toByteArray()))
    : tlv(0x82, Buffer.from(hostOrIp, 'ascii'));

export interface CertificateRequest {
  readonly subject: string;
  readonly issuer: string;
  /** P-256. */
  readonly publicKey: KeyObject;
  /** P-256, of the issuer. */
  readonly issuerKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hostnames and IP literals a server certificate is for; absent for an authority. */
  readonly names?: readonly string[];
}

/** A certificate in PEM. */
export const makeCertificate = (request: CertificateRequest): string => {
  const { names } = request;
  const extensions =
    names === undefined
      ? [
          extension(BASIC_CONSTRAINTS, sequence(yes), true),
          // keyCertSign and cRLSign
          extension(KEY_USAGE, bits(Buffer.from([0x06]), 1), true),
        ]
      : [
          extension(BASIC_CONSTRAINTS, sequence(), true),
          // digitalSignature
          extension(KEY_USAGE, bits(Buffer.from([0x80]), 7), true),
          extension(EXTENDED_KEY_USAGE, sequence(SERVER_AUTH)),
          extension(SUBJECT_ALT_NAME, sequence(...names.map(alternativeName))),
        ];
  const serial = randomBytes(16);
  // Positive, and without a leading zero byte.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    sequence(ECDSA_WITH_SHA256),
    name(request.issuer),
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    name(request.subject),
    request.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, request.issuerKey);
  const der = sequence(body, sequence(ECDSA_WITH_SHA256), bits(signature));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
};
