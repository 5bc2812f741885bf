/**
 * Ed25519 (RFC 8032), by libsodium where its binary loads and by node:crypto elsewhere. Both make
 * the same signatures; libsodium takes half the time. docs/decisions/0006-ed25519-by-libsodium.md
 */
import {
  createPrivateKey,
  createPublicKey,
  sign as edSign,
  verify as edVerify,
  type KeyObject,
} from 'node:crypto';
import { createRequire } from 'node:module';
import { encodeUrlSafeBase64 } from './base64.ts';

export const SEED_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** The two halves of a key pair, 32 bytes each. */
export interface KeyPair {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface Ed25519 {
  /** A function that signs with this key: 64 bytes. What it prepares is made once. */
  signer(key: KeyPair): (message: Buffer) => Buffer;
  /** A function that checks signatures of 64 bytes by this key of 32. */
  verifier(publicKey: Buffer): (message: Buffer, signature: Buffer) => boolean;
}

/** The part of the package's interface that is used here. */
interface Sodium {
  crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void;
  crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean;
}

const libsodium = (sodium: Sodium): Ed25519 => ({
  signer: ({ seed, publicKey }) => {
    const secretKey = Buffer.concat([seed, publicKey]);
    return (message) => {
      const signature = Buffer.allocUnsafe(SIGNATURE_BYTES);
      sodium.crypto_sign_detached(signature, message, secretKey);
      return signature;
    };
  },
  verifier: (publicKey) => (message, signature) =>
    sodium.crypto_sign_verify_detached(signature, message, publicKey),
});

const publicJwk = (publicKey: Uint8Array) => ({
  kty: 'OKP',
  crv: 'Ed25519',
  x: encodeUrlSafeBase64(publicKey),
});

/** Making a KeyObject costs about as much as a signature. */
export const nodeEd25519: Ed25519 = {
  signer: ({ seed, publicKey }) => {
    const key = createPrivateKey({
      format: 'jwk',
      key: { ...publicJwk(publicKey), d: encodeUrlSafeBase64(seed) },
    });
    return (message) => edSign(null, message, key);
  },
  verifier: (publicKey) => {
    let key: KeyObject | undefined;
    return (message, signature) => {
      key ??= createPublicKey({ format: 'jwk', key: publicJwk(publicKey) });
      return edVerify(null, message, key, signature);
    };
  },
};

/** Undefined on platforms that the package brings no binary for. */
const loadLibsodium = (): Ed25519 | undefined => {
  try {
    return libsodium(createRequire(import.meta.url)('sodium-native') as Sodium);
  } catch {
    return undefined;
  }
};

export const sodiumEd25519: Ed25519 | undefined = loadLibsodium();

export const ed25519: Ed25519 = sodiumEd25519 ?? nodeEd25519;
