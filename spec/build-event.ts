/**
 * Making events: hashes, signature and id put onto what a local user wants to send.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 *
 * The order of an event's own keys is fixed, so its canonical JSON is assembled from parts that are
 * serialised once: the hashed, the signed and the finished form differ only in what goes between.
 */
import { CanonicalJsonError, canonicalJson, canonicalJsonFor } from './canonical-json.ts';
import type { JsonObject, MatrixEvent, Pdu, PduReference } from './event.ts';
import { eventFrom, InvalidEventError, MAX_EVENT_BYTES } from './event-format.ts';
import { portableNumbers } from './exact-numbers.ts';
import { contentHash, eventIdFromSignedJson, sha256Base64 } from './hashes.ts';
import {
  type EventId,
  fitsInBytes,
  MAX_IDENTIFIER_BYTES,
  type RoomId,
  type UserId,
} from './identifiers.ts';
import { redactContent } from './redaction.ts';
import type { RoomVersionRules } from './room-versions.ts';
import { type SigningKey, signBytes, signEvent } from './signing.ts';

export interface EventTemplate {
  readonly type: string;
  /** Absent for message events. */
  readonly stateKey?: string | undefined;
  readonly sender: UserId;
  /** Becomes part of the event: not to be changed afterwards. */
  readonly content: JsonObject;
  /** Absent only for the create event of a room whose id is made of it. */
  readonly roomId?: RoomId | undefined;
  readonly prev: readonly EventId[];
  readonly auth: readonly EventId[];
  readonly depth: number;
  /** `origin_server_ts`, in milliseconds since the epoch. */
  readonly ts: number;
  /** For a redaction, where the room version writes it at the top level. */
  readonly redacts?: EventId | undefined;
  /** Room versions 1 and 2 only: the id to give to the event. */
  readonly eventId?: EventId | undefined;
  /** Room versions 1 and 2 only: the reference hash (unpadded base64) of a prev or auth event. */
  readonly referenceHash?: ((eventId: EventId) => string) | undefined;
}

export interface BuiltEvent {
  readonly event: MatrixEvent;
  /** The canonical JSON of `event.pdu`: as it is stored and sent to other servers. */
  readonly json: string;
}

/**
 * An event that lacks nothing but its signature. Its id is known: signatures are not part of what
 * the reference hash covers.
 */
export interface UnsignedEvent {
  /** The signature in `pdu.signatures` is empty text until `finish` fills it in. */
  readonly event: MatrixEvent;
  /** What the signature covers, in UTF-8. */
  readonly signedBytes: Buffer;
  /** Puts the signature (unpadded base64) into the event and gives its canonical JSON. */
  finish(signature: string): string;
}

/**
 * Builds, hashes and signs an event.
 *
 * @throws InvalidEventError if the content has no canonical form or something is too large
 */
export const buildEvent = (
  template: EventTemplate,
  rules: RoomVersionRules,
  serverName: string,
  key: SigningKey,
): BuiltEvent => {
  const unsigned = buildUnsignedEvent(template, rules, serverName, key.keyId);
  return { event: unsigned.event, json: unsigned.finish(signBytes(unsigned.signedBytes, key)) };
};

/**
 * Builds and hashes an event that is to be signed with the key of this id.
 *
 * @throws InvalidEventError if the content has no canonical form or something is too large
 */
export const buildUnsignedEvent = (
  template: EventTemplate,
  rules: RoomVersionRules,
  serverName: string,
  keyId: string,
): UnsignedEvent => {
  const { type, stateKey, sender, roomId } = template;
  const content = rules.strictCanonicalJson ? template.content : portableNumbers(template.content);
  checkIdentifierSize('type', type);
  if (stateKey !== undefined) checkIdentifierSize('state_key', stateKey);
  const authEvents = references(template.auth, template, rules);
  const prevEvents = references(template.prev, template, rules);
  const redacts = rules.redaction.redactsInContent ? undefined : template.redacts;

  const contentJson = serialiseContent(content, rules);
  const beforeContent = `{"auth_events":${canonicalJson(authEvents)},"content":`;
  const afterContent = `,"depth":${template.depth}${member('event_id', template.eventId)}`;
  const beforeRedacts = `,"origin_server_ts":${template.ts},"prev_events":${canonicalJson(prevEvents)}`;
  const afterRedacts = `${member('room_id', roomId)},"sender":${canonicalJson(sender)}`;
  const end = `${member('state_key', stateKey)},"type":${canonicalJson(type)}}`;
  const redactsMember = member('redacts', redacts);

  const hashedText = `${beforeContent}${contentJson}${afterContent}${beforeRedacts}${redactsMember}${afterRedacts}${end}`;
  const sha256 = sha256Base64(hashedText);
  const hashes = `,"hashes":{"sha256":"${sha256}"}`;
  const redactedJson = serialiseRedacted(type, content, contentJson, rules);
  const signedBytes = Buffer.from(
    `${beforeContent}${redactedJson}${afterContent}${hashes}${beforeRedacts}${afterRedacts}${end}`,
  );
  // Named already, so that the event counts as signed by this server while it is being checked.
  const byKeyId: Record<string, string> = { [keyId]: '' };
  const beforeSignature = `${beforeContent}${contentJson}${afterContent}${hashes}${beforeRedacts}${redactsMember}${afterRedacts},"signatures":{${canonicalJson(serverName)}:{${canonicalJson(keyId)}:"`;
  const jsonWith = (signature: string): string => `${beforeSignature}${signature}"}}${end}`;
  const isSmall = hashedText.length + MAX_SIGNATURE_LENGTH < MAX_EVENT_BYTES / 3;
  if (!isSmall && !fitsInBytes(jsonWith(ANY_SIGNATURE), MAX_EVENT_BYTES)) {
    throw new InvalidEventError(`the event exceeds ${MAX_EVENT_BYTES} bytes`, 'too_large');
  }

  // One after the other, not spread: this object is made for every event there is.
  const pdu = { auth_events: authEvents, content, depth: template.depth } as Pdu;
  if (template.eventId !== undefined) pdu.event_id = template.eventId;
  pdu.hashes = { sha256 };
  pdu.origin_server_ts = template.ts;
  pdu.prev_events = prevEvents;
  if (redacts !== undefined) pdu.redacts = redacts;
  if (roomId !== undefined) pdu.room_id = roomId;
  pdu.sender = sender;
  pdu.signatures = { [serverName]: byKeyId };
  if (stateKey !== undefined) pdu.state_key = stateKey;
  pdu.type = type;
  // What is signed is also what the reference hash covers.
  const eventId =
    rules.eventIdFormat === 'domain'
      ? requireEventId(template)
      : eventIdFromSignedJson(signedBytes, rules.eventIdFormat);
  const event = eventFrom(pdu, eventId, template.prev, template.auth);
  return {
    event: content === template.content ? event : { ...event, content: template.content },
    signedBytes,
    finish: (signature) => {
      byKeyId[keyId] = signature;
      return jsonWith(signature);
    },
  };
};

/** As long as any Ed25519 signature in unpadded base64. */
const ANY_SIGNATURE = 'A'.repeat(86);
/** More than hashes and signatures take, with the longest server name and key id. */
const MAX_SIGNATURE_LENGTH = 1_000;

/**
 * Hashes and signs an event in wire format that another server has drafted (such as the answer to
 * `make_join`), keeping whatever it has put there.
 *
 * @throws CanonicalJsonError
 */
export const hashAndSignPdu = <P extends Partial<Pdu>>(
  pdu: P,
  rules: RoomVersionRules,
  serverName: string,
  key: SigningKey,
): P & Pick<Pdu, 'hashes' | 'signatures'> =>
  signEvent({ ...pdu, hashes: { sha256: contentHash(pdu, rules) } }, rules, serverName, key);

const member = (key: string, value: string | undefined): string =>
  value === undefined ? '' : `,"${key}":${canonicalJson(value)}`;

const checkIdentifierSize = (field: string, text: string): void => {
  if (!fitsInBytes(text, MAX_IDENTIFIER_BYTES)) {
    throw new InvalidEventError(`${field} exceeds ${MAX_IDENTIFIER_BYTES} bytes`, 'too_large');
  }
  if (text.includes('\u0000')) throw new InvalidEventError(`${field} contains NUL`);
};

const serialiseContent = (content: JsonObject, rules: RoomVersionRules): string => {
  try {
    return canonicalJsonFor(rules)(content);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw new InvalidEventError(error.message);
    throw error;
  }
};

/** Most content is either redacted to nothing or not at all: then nothing is serialised again. */
const serialiseRedacted = (
  type: string,
  content: JsonObject,
  contentJson: string,
  rules: RoomVersionRules,
): string => {
  const redacted = redactContent(type, content, rules.redaction);
  const keys = Object.keys(redacted);
  if (keys.length === 0) return '{}';
  const unchanged =
    keys.length === Object.keys(content).length &&
    keys.every((key) => redacted[key] === content[key]);
  return unchanged ? contentJson : canonicalJsonFor(rules)(redacted);
};

const references = (
  eventIds: readonly EventId[],
  template: EventTemplate,
  rules: RoomVersionRules,
): PduReference[] => {
  // Event and PDU share the list, which neither changes.
  if (rules.eventReferences === 'ids') return eventIds as EventId[];
  return eventIds.map((eventId) => {
    if (template.referenceHash === undefined) {
      throw new TypeError('referenceHash is needed for events of this room version');
    }
    return [eventId, { sha256: template.referenceHash(eventId) }];
  });
};

const requireEventId = ({ eventId }: EventTemplate): EventId => {
  if (eventId === undefined) throw new TypeError('events of this room version need an eventId');
  return eventId;
};
