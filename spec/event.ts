/**
 * The shape of a persistent data unit (PDU) and the immutable value the rest of the server handles.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#pdus and the event format of each
 * room version, https://spec.matrix.org/v1.19/rooms/.
 */
import type { EventId, RoomId, UserId } from './identifiers.ts';

/** Any value that JSON can carry. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue | undefined;
}

/** `{ serverName: { keyId: unpadded base64 } }` */
export type Signatures = Record<string, Record<string, string>>;

/**
 * A PDU exactly as it travels between servers. Room versions 1 and 2 carry `event_id` and write
 * references as `[eventId, hashes]` pairs; later versions write plain event ids. The create event of
 * room version 12 has no `room_id`.
 */
export interface Pdu {
  type: string;
  room_id?: string;
  sender: string;
  state_key?: string;
  content: JsonObject;
  origin_server_ts: number;
  depth: number;
  prev_events: PduReference[];
  auth_events: PduReference[];
  hashes: { sha256: string };
  signatures: Signatures;
  unsigned?: JsonObject;
  event_id?: string;
  redacts?: string;
  origin?: string;
}

/** A reference to another event: an id (room version 3 and later) or an id with hashes (1 and 2). */
export type PduReference = string | [string, Record<string, string>];

/** A PDU with everything derived from it worked out once: the value every algorithm takes. */
export interface MatrixEvent {
  readonly eventId: EventId;
  /** The event's room; for a version 12 create event, derived from its own id. */
  readonly roomId: RoomId;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: UserId;
  /** With plain numbers; in `pdu` they are as they were written. */
  readonly content: JsonObject;
  readonly originServerTs: number;
  readonly depth: number;
  /** Plain ids, whatever the wire format. */
  readonly prevEventIds: readonly EventId[];
  /** Plain ids as listed on the wire: in room version 12 the create event is implied, not listed. */
  readonly authEventIds: readonly EventId[];
  /** The event as signed. Never mutated. Other than `exactJson`, JSON writers may change its numbers. */
  readonly pdu: Readonly<Pdu>;
}

/** The key of a state map: type and state key joined by NUL, which neither may contain. */
export type StateKey = string & { readonly __brand: 'StateKey' };

export const stateKeyOf = (type: string, stateKey: string): StateKey =>
  `${type}\u0000${stateKey}` as StateKey;

export const splitStateKey = (key: StateKey): [type: string, stateKey: string] => {
  const nul = key.indexOf('\u0000');
  return [key.slice(0, nul), key.slice(nul + 1)];
};

/** A room state: which event holds each (type, state key). */
export type StateMap<T = EventId> = ReadonlyMap<StateKey, T>;
