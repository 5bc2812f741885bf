/** Reading cross-signing keys that clients and other servers send. */
import { hasCanonicalForm } from '../../spec/canonical-json.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import { fitsInBytes, type UserId } from '../../spec/identifiers.ts';
import { isPublicKey } from '../../spec/signing.ts';
import type { CrossSigningKeyRow, CrossSigningUsage } from '../storage/cross-signing.ts';
import { isObject } from './remote-keys.ts';

const maxKeyBytes = 32_768;

/** The one public key of the object, or undefined when it is none of this user and usage. */
export const crossSigningKeyIn = (
  value: JsonValue | undefined,
  userId: UserId,
  usage: CrossSigningUsage,
): (CrossSigningKeyRow & { readonly json: JsonObject }) | undefined => {
  if (!isObject(value) || value['user_id'] !== userId) return undefined;
  const { usage: usages, keys } = value;
  if (!Array.isArray(usages) || !usages.includes(usage) || !isObject(keys)) return undefined;
  const [entry, ...more] = Object.entries(keys);
  if (entry === undefined || more.length > 0) return undefined;
  const [keyId, publicKey] = entry;
  if (typeof publicKey !== 'string' || keyId !== `ed25519:${publicKey}`) return undefined;
  if (!isPublicKey(publicKey)) return undefined;
  const { unsigned: _unsigned, signatures, ...rest } = value;
  // Signatures that others have made travel on their own.
  const own = isObject(signatures) ? signatures[userId] : undefined;
  const json: JsonObject = {
    ...rest,
    ...(isObject(own) && { signatures: { [userId]: own } }),
  };
  // It is signed, and travels in what is: a number that servers write differently would break both.
  if (!hasCanonicalForm(json)) return undefined;
  const key = JSON.stringify(json);
  return fitsInBytes(key, maxKeyBytes) ? { userId, usage, publicKey, key, json } : undefined;
};
