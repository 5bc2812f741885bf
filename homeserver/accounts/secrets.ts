/** Secrets given to clients: how they are made, and the hash they are stored by. */
import { createHash } from 'node:crypto';
import { encodeUrlSafeBase64 } from '../../spec/base64.ts';
import type { Random } from '../random.ts';

const SECRET_BYTES = 32;

/** 256 random bits behind a prefix that tells people and scanners what they have found. */
export const newSecret = (random: Random, kind: 'access' | 'refresh' | 'login'): string =>
  `parley_${kind}_${encodeUrlSafeBase64(random.bytes(SECRET_BYTES))}`;

/** An identifier nobody can guess. */
export const newOpaqueId = (random: Random): string => encodeUrlSafeBase64(random.bytes(24));

/** SHA-256: a secret of 256 random bits needs no slow hash. */
export const secretHash = (secret: string): string =>
  createHash('sha256').update(secret).digest('base64url');

const READABLE = 'abcdefghijkmnpqrstuvwxyz23456789';

/** Lower-case letters and digits that are not mistaken for each other; five bits a character. */
export const readableText = (random: Random, length: number): string =>
  Array.from(random.bytes(length), (byte) => READABLE[byte & 31]).join('');
