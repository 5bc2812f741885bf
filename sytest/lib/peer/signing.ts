/**
 * Canonical JSON, hashes and Ed25519 signatures, written here a second time on
 * purpose: a peer that used the server's own code could not notice its mistakes.
 * https://spec.matrix.org/v1.19/appendices/#signing-json
 */

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { Body } from '../http.ts';

export type Json = Body;
export type JsonObject = { [key: string]: Json };

/** https://spec.matrix.org/v1.19/appendices/#canonical-json */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort(byCodePoint)
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${members.join(',')}}`;
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

export function unpaddedBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

export class SigningKey {
  /** `ed25519:…` */
  readonly id: string;
  readonly publicKey: string;
  readonly #privateKey: KeyObject;

  constructor(name = 'peer') {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.id = `ed25519:${name}`;
    this.#privateKey = privateKey;
    const { x } = publicKey.export({ format: 'jwk' });
    this.publicKey = unpaddedBase64(Buffer.from(x!, 'base64url'));
  }

  signatureOf(text: string): string {
    return unpaddedBase64(sign(null, Buffer.from(text, 'utf8'), this.#privateKey));
  }

  /** A copy with this key's signature for `entity` beside those it has. */
  signJson(object: JsonObject, entity: string): JsonObject {
    const { signatures = {}, unsigned, ...signed } = object;
    const signature = this.signatureOf(canonicalJson(signed));
    return {
      ...signed,
      ...(unsigned === undefined ? {} : { unsigned }),
      signatures: { ...signatures, [entity]: { ...signatures[entity], [this.id]: signature } },
    };
  }
}

/** @param publicKey unpadded Base64, as servers publish it */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  const key = createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'base64').toString('base64url') },
  });
  return verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64'));
}
