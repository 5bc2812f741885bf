/**
 * Ed25519 signatures on JSON and on events.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#signing-json and
 * https://spec.matrix.org/v1.19/server-server-api/#signing-events
 */
import nacl from 'tweetnacl';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { CanonicalJsonError, lenientCanonicalJson } from './canonical-json.ts';
import { type Ed25519, ed25519, PUBLIC_KEY_BYTES, SEED_BYTES, SIGNATURE_BYTES } from './ed25519.ts';
import type { JsonObject, MatrixEvent, Pdu, Signatures } from './event.ts';
import { signedJson } from './hashes.ts';
import { isUserId, type ServerName, serverNameOf } from './identifiers.ts';
import type { RoomVersionRules } from './room-versions.ts';

/** With which every id of an Ed25519 key begins. */
export const ALGORITHM_PREFIX = 'ed25519:';
/**
 * The id of every policy server's key, which a room's state has: with it nobody signs as the server
 * that sends. https://spec.matrix.org/v1.19/server-server-api/#validating-policy-server-signatures
 */
export const POLICY_SERVER_KEY_ID = 'ed25519:policy_server';

export interface SigningKey {
  /** With its algorithm: `ed25519:a_1`. */
  readonly keyId: string;
  /** 32 secret bytes. */
  readonly seed: Uint8Array;
  /** Unpadded base64. */
  readonly publicKey: string;
}

/** The key made of 32 bytes; `version` is the part of the key id after `ed25519:`. */
export const signingKeyFromSeed = (version: string, seed: Uint8Array): SigningKey => {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes`);
  const { publicKey } = nacl.sign.keyPair.fromSeed(Uint8Array.from(seed));
  return { keyId: ALGORITHM_PREFIX + version, seed, publicKey: encodeBase64(publicKey) };
};

const signers = new WeakMap<SigningKey, (message: Buffer) => Buffer>();
const verifiers = new Map<string, ReturnType<Ed25519['verifier']> | undefined>();
const MAX_VERIFIERS = 4_096;

const signerOf = (key: SigningKey): ((message: Buffer) => Buffer) => {
  let signer = signers.get(key);
  if (signer === undefined) {
    signer = ed25519.signer({
      seed: key.seed,
      publicKey: decodeBase64(key.publicKey) as Buffer,
    });
    signers.set(key, signer);
  }
  return signer;
};

const verifierOf = (publicKey: string): ReturnType<Ed25519['verifier']> | undefined => {
  if (verifiers.has(publicKey)) return verifiers.get(publicKey);
  const bytes = decodeBase64(publicKey);
  const verifier = bytes?.length === PUBLIC_KEY_BYTES ? ed25519.verifier(bytes) : undefined;
  if (verifiers.size >= MAX_VERIFIERS) verifiers.clear();
  verifiers.set(publicKey, verifier);
  return verifier;
};

/** Whether `text` is 32 bytes in base64, as an Ed25519 public key is. */
export const isPublicKey = (text: string): boolean =>
  decodeBase64(text)?.length === PUBLIC_KEY_BYTES;

/** The signature of bytes, in unpadded base64. */
export const signBytes = (bytes: Buffer, key: SigningKey): string =>
  encodeBase64(signerOf(key)(bytes));

/** The signature of a text's UTF-8 bytes, in unpadded base64. */
export const signText = (text: string, key: SigningKey): string =>
  signBytes(Buffer.from(text, 'utf8'), key);

/** Whether `signature` is that of `text`; false too for a malformed key or signature. */
export const verifyText = (text: string, signature: string, publicKey: string): boolean =>
  verifyBytes(Buffer.from(text, 'utf8'), signature, publicKey);

/** As {@link verifyText}, of bytes. */
export const verifyBytes = (bytes: Buffer, signature: string, publicKey: string): boolean => {
  const signatureBytes = decodeBase64(signature);
  if (signatureBytes?.length !== SIGNATURE_BYTES) return false;
  return verifierOf(publicKey)?.(bytes, signatureBytes) ?? false;
};

/** What a signature on a JSON object covers. */
const signedPart = (object: JsonObject): string => {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = object;
  return lenientCanonicalJson(signed);
};

/** A copy of `object` with the signature of `entity` (a server name or user id) added. */
export const signJson = <T extends JsonObject>(
  object: T,
  entity: string,
  key: SigningKey,
): T & { signatures: Signatures } => ({
  ...object,
  signatures: withSignature(
    object['signatures'] as Signatures | undefined,
    entity,
    key.keyId,
    signText(signedPart(object), key),
  ),
});

/** A copy of `signatures` with one more. */
export const withSignature = (
  signatures: Readonly<Signatures> | undefined,
  entity: string,
  keyId: string,
  signature: string,
): Signatures => ({
  ...signatures,
  [entity]: { ...signatures?.[entity], [keyId]: signature },
});

/**
 * The signature of an entity on an object that may come from anyone; `undefined` if there is none.
 */
export const signatureOf = (
  object: { readonly [key: string]: unknown },
  entity: string,
  keyId: string,
): string | undefined => {
  const ofEntity = ownProperty(object['signatures'], entity);
  const signature = ownProperty(ofEntity, keyId);
  return typeof signature === 'string' ? signature : undefined;
};

/** The ids of the Ed25519 keys with which an entity claims to have signed. */
export const signingKeyIdsOf = (
  object: { readonly [key: string]: unknown },
  entity: string,
): string[] => {
  const ofEntity = ownProperty(object['signatures'], entity);
  if (typeof ofEntity !== 'object' || ofEntity === null) return [];
  return Object.keys(ofEntity).filter((keyId) => keyId.startsWith(ALGORITHM_PREFIX));
};

const ownProperty = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;

/**
 * Steps 1 to 7 of https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature for one key,
 * which the caller has looked up.
 */
export const verifySignedJson = (
  object: JsonObject,
  entity: string,
  keyId: string,
  publicKey: string,
): boolean => {
  const claim = signedClaim(object, entity, keyId, () => signedPart(object));
  return claim !== undefined && verifyText(claim.text, claim.signature, publicKey);
};

/** What an entity claims to have signed, and its signature; `undefined` if nothing is. */
const signedClaim = (
  object: { readonly [key: string]: unknown },
  entity: string,
  keyId: string,
  signed: () => string,
): { readonly text: string; readonly signature: string } | undefined => {
  const signature = signatureOf(object, entity, keyId);
  if (signature === undefined || !keyId.startsWith(ALGORITHM_PREFIX)) return undefined;
  try {
    return { text: signed(), signature };
  } catch (error) {
    // What has no canonical form cannot have been signed.
    if (error instanceof CanonicalJsonError) return undefined;
    throw error;
  }
};

/**
 * A copy of an event, whose `hashes` are already in place, signed by a server.
 *
 * @throws CanonicalJsonError
 */
export const signEvent = <P extends Partial<Pdu>>(
  pdu: P,
  rules: RoomVersionRules,
  serverName: string,
  key: SigningKey,
): P & { signatures: Signatures } => ({
  ...pdu,
  signatures: withSignature(
    pdu.signatures,
    serverName,
    key.keyId,
    signText(signedJson(pdu, rules), key),
  ),
});

/**
 * Whether a server's signature with one key is there and right. Whether that key may be used for an event of this age (`rules.enforceKeyValidity`) is the
 * caller's to check.
 */
export const verifyEventSignature = (
  event: Pick<MatrixEvent, 'pdu'>,
  rules: RoomVersionRules,
  serverName: string,
  keyId: string,
  publicKey: string,
): boolean => {
  const pdu = event.pdu as Pdu & JsonObject;
  const claim = signedClaim(pdu, serverName, keyId, () => signedJson(pdu, rules));
  return claim !== undefined && verifyText(claim.text, claim.signature, publicKey);
};

/**
 * The servers whose signatures an event needs before it is looked at further:
 * https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 *
 * They are the sender's server (except for third-party invites, which another server may send), in
 * room versions 1 and 2 the server in the event id, and for membership events with
 * `join_authorised_via_users_server` the server of that user.
 */
export const requiredSigners = (
  event: Pick<MatrixEvent, 'eventId' | 'type' | 'sender' | 'content'>,
  rules: RoomVersionRules,
): ServerName[] => {
  const signers = new Set<ServerName>();
  if (!isThirdPartyInvite(event)) signers.add(serverNameOf(event.sender));
  if (rules.eventIdServerSigns) {
    signers.add(event.eventId.slice(event.eventId.indexOf(':') + 1) as ServerName);
  }
  const authorisingUser = authorisingUserOf(event, rules);
  if (authorisingUser !== undefined && isUserId(authorisingUser)) {
    signers.add(serverNameOf(authorisingUser));
  }
  return [...signers];
};

const isThirdPartyInvite = (event: Pick<MatrixEvent, 'type' | 'content'>): boolean =>
  event.type === 'm.room.member' &&
  event.content['membership'] === 'invite' &&
  event.content['third_party_invite'] !== undefined;

/**
 * The value of `join_authorised_via_users_server`, where the room version gives it meaning; an
 * empty string for one that is not a string, so that it names nobody.
 */
export const authorisingUserOf = (
  event: Pick<MatrixEvent, 'type' | 'content'>,
  rules: RoomVersionRules,
): string | undefined => {
  if (!rules.restrictedJoins || event.type !== 'm.room.member') return undefined;
  const user = event.content['join_authorised_via_users_server'];
  if (user === undefined) return undefined;
  return typeof user === 'string' ? user : '';
};
