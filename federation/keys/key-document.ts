/**
 * Key documents of other servers: what is accepted as one, and the keys in it.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#publishing-keys
 */
import type { RemoteKey } from '../../homeserver/storage/remote-keys.ts';
import { unpadded } from '../../spec/base64.ts';
import type { JsonObject } from '../../spec/event.ts';
import { isPublicKey, signingKeyIdsOf, verifySignedJson } from '../../spec/signing.ts';

export interface ParsedKeyDocument {
  readonly serverName: string;
  readonly document: JsonObject;
  /** As published. */
  readonly validUntilTs: number;
  readonly keys: readonly RemoteKey[];
}

const WEEK_MS = 7 * 24 * 60 * 60_000;
/** The specification sets no length; this is as long as what stores them can look up. */
const KEY_ID = /^ed25519:[A-Za-z0-9_]{1,1000}$/;
const MAX_KEYS = 64;
/** The largest document accepted, in bytes of its answer. */
export const MAX_DOCUMENT_BYTES = 64 * 1024;

const objectIn = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};

const isTimestamp = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Reads and checks a document that is to be of `serverName`. It must be signed with one of its own
 * `verify_keys`, and no signature of those may be wrong. Entries that are not Ed25519 keys in the
 * specification's form are left out.
 *
 * @returns `undefined` for anything that is not such a document
 */
export const parseKeyDocument = (
  document: JsonObject,
  serverName: string,
  nowMs: number,
): ParsedKeyDocument | undefined => {
  const validUntilTs = document['valid_until_ts'];
  if (document['server_name'] !== serverName || !isTimestamp(validUntilTs)) return undefined;
  const verifyKeys = Object.entries(objectIn(document['verify_keys']));
  const oldKeys = Object.entries(objectIn(document['old_verify_keys']));
  if (verifyKeys.length + oldKeys.length > MAX_KEYS) return undefined;

  // "Servers MUST use the lesser of this field and 7 days into the future."
  const latestMs = nowMs + WEEK_MS;
  const validUntilMs = Math.min(validUntilTs, latestMs);
  const keys = new Map<string, RemoteKey>();
  for (const [keyId, entry] of oldKeys) {
    const { key, expired_ts } = objectIn(entry);
    if (!KEY_ID.test(keyId) || !isTimestamp(expired_ts)) continue;
    if (typeof key !== 'string' || !isPublicKey(key)) continue;
    keys.set(keyId, {
      keyId,
      publicKey: unpadded(key),
      validUntilMs: Math.min(expired_ts, latestMs),
    });
  }
  let signed = false;
  const signedWith = new Set(signingKeyIdsOf(document, serverName));
  for (const [keyId, entry] of verifyKeys) {
    const { key } = objectIn(entry);
    if (!KEY_ID.test(keyId) || typeof key !== 'string' || !isPublicKey(key)) continue;
    if (signedWith.has(keyId)) {
      if (!verifySignedJson(document, serverName, keyId, key)) return undefined;
      signed = true;
    }
    keys.set(keyId, { keyId, publicKey: unpadded(key), validUntilMs });
  }
  return signed ? { serverName, document, validUntilTs, keys: [...keys.values()] } : undefined;
};
