/**
 * From JSON that another server sent to a `MatrixEvent`: format, types and sizes.
 *
 * Specification: the first and third of
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu, the event
 * format of each room version (https://spec.matrix.org/v1.19/rooms/), and
 * https://spec.matrix.org/v1.19/client-server-api/#size-limits
 */

import { decodeBase64 } from './base64.ts';
import { CanonicalJsonError, canonicalJsonFor } from './canonical-json.ts';
import type { JsonObject, JsonValue, MatrixEvent, Pdu, PduReference } from './event.ts';
import { plainNumbers, readExactJson } from './exact-numbers.ts';
import { contentHash, eventIdOf } from './hashes.ts';
import {
  type EventId,
  fitsInBytes,
  isDomainRoomId,
  isEventIdInFormat,
  isHashRoomId,
  isUserId,
  isWellFormedText,
  MAX_IDENTIFIER_BYTES,
  type RoomId,
  roomIdOfCreateEvent,
  type UserId,
} from './identifiers.ts';
import { redactEvent } from './redaction.ts';
import type { RoomVersionRules } from './room-versions.ts';

export const MAX_EVENT_BYTES = 65_536;
export const MAX_PREV_EVENTS = 20;
export const MAX_AUTH_EVENTS = 10;
/** The greatest depth an event of ours is given, and any event is taken to have. */
export const MAX_DEPTH = Number.MAX_SAFE_INTEGER;
/** The greatest depth of room versions 1 to 5, as near as a double comes to 2^63 − 1. */
const MAX_LENIENT_DEPTH = 2 ** 63;

/** The JSON is not an event of its room version, and is to be dropped. */
export class InvalidEventError extends Error {
  /** `too_large` for the limits on size, which clients are told of with another error code. */
  readonly reason: 'malformed' | 'too_large';

  constructor(message: string, reason: 'malformed' | 'too_large' = 'malformed') {
    super(message);
    this.name = 'InvalidEventError';
    this.reason = reason;
  }
}

const malformed = (message: string): InvalidEventError => new InvalidEventError(message);

/**
 * Checks an event in wire format and works out what derives from it. Properties that the format
 * does not know are kept. Signatures and the content hash are not checked here.
 *
 * `anyReferences` lifts the limits on the number of prev and auth events, as is demanded of the
 * answers to `/backfill`: events older than the limits may exceed them.
 *
 * @throws InvalidEventError
 */
export const parsePdu = (
  json: unknown,
  rules: RoomVersionRules,
  { anyReferences = false }: { readonly anyReferences?: boolean } = {},
): MatrixEvent => {
  if (!isObject(json)) throw malformed('an event is an object');
  checkFields(json, rules);
  const pdu = json as unknown as Pdu;
  const [maxPrev, maxAuth] = anyReferences
    ? [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    : [MAX_PREV_EVENTS, MAX_AUTH_EVENTS];
  const prevEventIds = referencesIn(pdu.prev_events, 'prev_events', maxPrev, rules);
  const authEventIds = referencesIn(pdu.auth_events, 'auth_events', maxAuth, rules);
  checkSize(pdu, rules);
  const event = eventFrom(pdu, eventIdOf(pdu, rules), prevEventIds, authEventIds);
  if (rules.strictCanonicalJson) return event;
  const content = plainNumbers(pdu.content);
  return content === pdu.content ? event : { ...event, content };
};

/** Puts together an event whose parts are known to be right. */
export const eventFrom = (
  pdu: Pdu,
  eventId: EventId,
  prevEventIds: readonly EventId[],
  authEventIds: readonly EventId[],
): MatrixEvent => ({
  eventId,
  roomId: (pdu.room_id as RoomId | undefined) ?? roomIdOfCreateEvent(eventId),
  type: pdu.type,
  stateKey: pdu.state_key,
  sender: pdu.sender as UserId,
  content: pdu.content,
  originServerTs: Number(pdu.origin_server_ts),
  depth: Math.min(pdu.depth, MAX_DEPTH),
  prevEventIds,
  authEventIds,
  pdu,
});

/**
 * Makes a `MatrixEvent` of a PDU that was checked when it was stored, with the id it was stored
 * under.
 */
export const trustedEvent = (pdu: Pdu, eventId: EventId): MatrixEvent =>
  eventFrom(pdu, eventId, idsOf(pdu.prev_events), idsOf(pdu.auth_events));

/** As {@link trustedEvent}, of the JSON that was stored; its numbers are as they were received. */
export const storedEvent = (json: string, eventId: EventId): MatrixEvent => {
  const { value, hasOnlyPlain } = readExactJson(json);
  const event = trustedEvent(value as unknown as Pdu, eventId);
  return hasOnlyPlain ? event : { ...event, content: plainNumbers(event.content) };
};

/** The list itself where it is one of ids: events are many, and live long. */
const idsOf = (references: readonly PduReference[]): readonly EventId[] =>
  typeof references[0] === 'string'
    ? (references as readonly EventId[])
    : references.map(([eventId]) => eventId as EventId);

const checkFields = (json: JsonObject, rules: RoomVersionRules): void => {
  const type = checkText(json, 'type');
  if (json['state_key'] !== undefined) checkText(json, 'state_key');
  checkRoomId(json['room_id'], type, rules);
  if (rules.eventIdFormat === 'domain') {
    const eventId = json['event_id'];
    if (typeof eventId !== 'string' || !isEventIdInFormat(eventId, 'domain')) {
      throw malformed('event_id is not an event id of this room version');
    }
  }
  const sender = json['sender'];
  if (typeof sender !== 'string' || !isUserId(sender)) throw malformed('sender is not a user id');
  if (!isObject(json['content'])) throw malformed('content is not an object');
  if (!Number.isInteger(plainNumbers(json['origin_server_ts']))) {
    throw malformed('origin_server_ts is not an integer');
  }
  checkDepth(plainNumbers(json['depth']), rules);
  checkHashesAndSignatures(json);
  if (json['unsigned'] !== undefined && !isObject(json['unsigned'])) {
    throw malformed('unsigned is not an object');
  }
  if (!rules.redaction.redactsInContent && json['redacts'] !== undefined) {
    if (typeof json['redacts'] !== 'string') throw malformed('redacts is not a string');
  }
};

/** A `type` or `state_key`. NUL is refused because it separates the two in {@link StateKey}. */
const checkText = (json: JsonObject, field: 'type' | 'state_key'): string => {
  const text = json[field];
  if (typeof text !== 'string') throw malformed(`${field} is not a string`);
  if (text.includes('\u0000')) throw malformed(`${field} contains NUL`);
  // Room versions 1 to 5 let it pass, but two such texts are one once they are written as UTF-8.
  if (!isWellFormedText(text)) throw malformed(`${field} has an unpaired surrogate`);
  if (!fitsInBytes(text, MAX_IDENTIFIER_BYTES)) {
    throw new InvalidEventError(`${field} exceeds ${MAX_IDENTIFIER_BYTES} bytes`, 'too_large');
  }
  return text;
};

const checkRoomId = (roomId: unknown, type: string, rules: RoomVersionRules): void => {
  // Rule 1.2 of version 12 rejects a create event that has one; a rejected event is kept.
  if (rules.roomIdIsCreateHash && type === 'm.room.create' && roomId === undefined) return;
  const isRoomId = rules.roomIdIsCreateHash ? isHashRoomId : isDomainRoomId;
  if (typeof roomId !== 'string' || !isRoomId(roomId)) {
    throw malformed('room_id is not a room id of this room version');
  }
};

const checkDepth = (depth: unknown, rules: RoomVersionRules): void => {
  const max = rules.strictCanonicalJson ? MAX_DEPTH : MAX_LENIENT_DEPTH;
  if (!Number.isInteger(depth) || (depth as number) < 0 || (depth as number) > max) {
    throw malformed('depth is not an integer of the permitted range');
  }
};

const checkHashesAndSignatures = (json: JsonObject): void => {
  const hashes = json['hashes'];
  if (!isObject(hashes) || typeof hashes['sha256'] !== 'string') {
    throw malformed('hashes has no sha256');
  }
  const signatures = json['signatures'];
  if (!isObject(signatures)) throw malformed('signatures is not an object');
  for (const ofServer of Object.values(signatures)) {
    if (!isObject(ofServer)) throw malformed('signatures of a server are not an object');
    for (const signature of Object.values(ofServer)) {
      if (typeof signature !== 'string') throw malformed('a signature is not a string');
    }
  }
};

const referencesIn = (
  references: unknown,
  field: string,
  max: number,
  rules: RoomVersionRules,
): readonly EventId[] => {
  if (!Array.isArray(references)) throw malformed(`${field} is not a list`);
  if (references.length > max) throw malformed(`${field} has more than ${max} entries`);
  const eventIds: unknown[] =
    rules.eventReferences === 'ids' ? references : references.map(idInPair);
  for (const eventId of eventIds) {
    if (typeof eventId !== 'string' || !isEventIdInFormat(eventId, rules.eventIdFormat)) {
      throw malformed(`${field} names something that is not an event of this room version`);
    }
  }
  return eventIds as EventId[];
};

const idInPair = (reference: unknown): unknown =>
  Array.isArray(reference) && reference.length === 2 && isObject(reference[1])
    ? reference[0]
    : undefined;

const checkSize = (pdu: Pdu, rules: RoomVersionRules): void => {
  let json: string;
  try {
    json = canonicalJsonFor(rules)(pdu as unknown as JsonObject);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw malformed(error.message);
    throw error;
  }
  if (!fitsInBytes(json, MAX_EVENT_BYTES)) {
    throw new InvalidEventError(`the event exceeds ${MAX_EVENT_BYTES} bytes`, 'too_large');
  }
};

/**
 * Whether the event is as its sender hashed it. If not, it is to be taken as redacted: see
 * {@link withCheckedContent}.
 */
export const checkContentHash = (event: MatrixEvent, rules: RoomVersionRules): boolean => {
  const claimed = decodeBase64(event.pdu.hashes.sha256);
  const actual = decodeBase64(contentHash(event.pdu, rules)) as Buffer;
  return claimed?.equals(actual) ?? false;
};

/** The event itself if its content hash is right, its redacted form if not. */
export const withCheckedContent = (event: MatrixEvent, rules: RoomVersionRules): MatrixEvent =>
  checkContentHash(event, rules) ? event : redactEvent(event, rules);

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value as JsonValue);
