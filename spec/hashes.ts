/**
 * The hashes of events, and the identifiers made of them.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#signing-events
 */
import { hash } from 'node:crypto';
import { unpadded } from './base64.ts';
import { canonicalJsonFor } from './canonical-json.ts';
import type { JsonObject, Pdu } from './event.ts';
import type { EventId, EventIdFormat } from './identifiers.ts';
import { redactPdu } from './redaction.ts';
import type { RoomVersionRules } from './room-versions.ts';

export const sha256Base64 = (text: string | Buffer): string =>
  unpadded(hash('sha256', text, 'base64'));

/** What the content hash covers: everything but `unsigned`, `signatures` and `hashes`. */
const hashedJson = (pdu: Partial<Pdu>, rules: RoomVersionRules): string => {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...hashed } = pdu;
  return canonicalJsonFor(rules)(hashed as JsonObject);
};

/**
 * What signatures and the reference hash both cover: the redacted event without `signatures` and
 * `unsigned`, in canonical JSON.
 *
 * @throws CanonicalJsonError
 */
export const signedJson = (pdu: Partial<Pdu>, rules: RoomVersionRules): string => {
  const {
    signatures: _signatures,
    unsigned: _unsigned,
    ...signed
  } = redactPdu<Partial<Pdu>>(pdu, rules);
  return canonicalJsonFor(rules)(signed as JsonObject);
};

/**
 * The content hash, in unpadded base64: what `hashes.sha256` must say.
 * https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event
 *
 * @throws CanonicalJsonError
 */
export const contentHash = (pdu: Partial<Pdu>, rules: RoomVersionRules): string =>
  sha256Base64(hashedJson(pdu, rules));

/**
 * The reference hash, in unpadded base64.
 * https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event
 *
 * @throws CanonicalJsonError
 */
export const referenceHash = (pdu: Partial<Pdu>, rules: RoomVersionRules): string =>
  sha256Base64(signedJson(pdu, rules));

/** The event id made of what {@link signedJson} returns, in room versions whose ids are hashes. */
export const eventIdFromSignedJson = (
  json: string | Buffer,
  format: Exclude<EventIdFormat, 'domain'>,
): EventId =>
  (format === 'base64'
    ? `$${sha256Base64(json)}`
    : `$${hash('sha256', json, 'base64url')}`) as EventId;

/**
 * The id of an event in wire format: computed, or in room versions 1 and 2 the one it carries
 * (which the caller has checked to be there).
 *
 * @throws CanonicalJsonError
 */
export const eventIdOf = (pdu: Partial<Pdu>, rules: RoomVersionRules): EventId =>
  rules.eventIdFormat === 'domain'
    ? (pdu.event_id as EventId)
    : eventIdFromSignedJson(signedJson(pdu, rules), rules.eventIdFormat);
