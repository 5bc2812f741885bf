/**
 * From what another server sent to events that may be looked at: the first three checks on receipt
 * of a PDU. Everything that comes from outside passes here, thousands of events at a time, without
 * keeping other work waiting.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import type { RoomOfVersion } from '../homeserver/rooms/remote-events.ts';
import { sharedTurn } from '../homeserver/turns.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import { InvalidEventError, parsePdu, withCheckedContent } from '../spec/event-format.ts';
import type { EventId } from '../spec/identifiers.ts';
import type { RoomVersionRules } from '../spec/room-versions.ts';
import type { KeyRing } from './keys/key-ring.ts';
import { verifyEvents } from './keys/verify-events.ts';

/** What became of one PDU. A dropped one has an id only if its format allowed to work one out. */
export type CheckedPdu =
  | { readonly event: MatrixEvent; readonly eventId: EventId; readonly error?: undefined }
  | {
      readonly event?: undefined;
      readonly eventId: EventId | undefined;
      readonly error: string;
    };

export interface CheckOptions {
  /** For the answers to `/backfill`; see `parsePdu`. */
  readonly anyReferences?: boolean;
}

/**
 * One entry for each PDU, in order. An event whose content hash is wrong comes out redacted.
 * `unsigned`, which anyone on the way may have written, is taken off.
 */
export const checkPdus = async (
  keyRing: KeyRing,
  room: RoomOfVersion,
  pdus: Iterable<unknown>,
  options: CheckOptions = {},
): Promise<CheckedPdu[]> => {
  const checked: CheckedPdu[] = [];
  const wellFormed: { readonly index: number; readonly event: MatrixEvent }[] = [];
  let index = 0;
  for (const pdu of pdus) {
    // 1. Is a valid event, otherwise it is dropped.
    const result = parsed(pdu, room, options);
    checked.push(result);
    if (result.event !== undefined) wellFormed.push({ index, event: result.event });
    index++;
    await sharedTurn();
  }
  // 2. Passes signature checks, otherwise it is dropped.
  const failures = await verifyEvents(
    keyRing,
    wellFormed.map(({ event }) => event),
    room.rules,
  );
  for (const [at, { index, event }] of wellFormed.entries()) {
    const failure = failures[at];
    checked[index] =
      failure === undefined
        ? // 3. Passes hash checks, otherwise it is redacted before being processed further.
          { event: withCheckedContent(event, room.rules), eventId: event.eventId }
        : { eventId: event.eventId, error: failure.message };
    await sharedTurn();
  }
  return checked;
};

/** The events that pass, each once, in order. */
export const checkedEvents = async (
  keyRing: KeyRing,
  room: RoomOfVersion,
  pdus: Iterable<unknown>,
  options: CheckOptions = {},
): Promise<MatrixEvent[]> => {
  const events = new Map<EventId, MatrixEvent>();
  for (const { event } of await checkPdus(keyRing, room, pdus, options)) {
    if (event !== undefined) events.set(event.eventId, event);
  }
  return [...events.values()];
};

const parsed = (pdu: unknown, room: RoomOfVersion, options: CheckOptions): CheckedPdu => {
  try {
    const event = parsePdu(withoutUnsigned(pdu), room.rules, options);
    if (event.roomId !== room.id) {
      return { eventId: event.eventId, error: 'The event is of another room' };
    }
    return { event, eventId: event.eventId };
  } catch (error) {
    if (!(error instanceof InvalidEventError)) throw error;
    return { eventId: claimedId(pdu, room.rules), error: error.message };
  }
};

const withoutUnsigned = (pdu: unknown): unknown => {
  if (typeof pdu !== 'object' || pdu === null || Array.isArray(pdu)) return pdu;
  const { unsigned: _unsigned, ...signed } = pdu as JsonObject;
  return signed;
};

/** In room versions 1 and 2 even a malformed event may say what its id is. */
const claimedId = (pdu: unknown, rules: RoomVersionRules): EventId | undefined => {
  if (rules.eventIdFormat !== 'domain' || typeof pdu !== 'object' || pdu === null) return undefined;
  const { event_id: eventId } = pdu as JsonObject;
  return typeof eventId === 'string' ? (eventId as EventId) : undefined;
};
