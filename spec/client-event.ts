/**
 * Events as clients and application services see them.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#room-event-format and
 * https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
import type { JsonObject, MatrixEvent } from './event.ts';
import type { RoomVersionRules } from './room-versions.ts';

export interface ClientEventOptions {
  /** `false` where the response implies the room, as in `/sync`. */
  readonly withRoomId?: boolean;
  /**
   * What this server says about the event: age, transaction id, redacted_because. The `unsigned` of
   * the PDU is another server's claim and never shown.
   */
  readonly unsigned?: JsonObject | undefined;
}

/** An event in the client format; whatever only servers need is left out. */
export const toClientEvent = (
  event: MatrixEvent,
  rules: RoomVersionRules,
  { withRoomId = true, unsigned }: ClientEventOptions = {},
): JsonObject => {
  const clientEvent: JsonObject = {
    content: event.content,
    event_id: event.eventId,
    origin_server_ts: event.originServerTs,
  };
  if (withRoomId) clientEvent['room_id'] = event.roomId;
  clientEvent['sender'] = event.sender;
  if (event.stateKey !== undefined) clientEvent['state_key'] = event.stateKey;
  clientEvent['type'] = event.type;
  if (event.type === 'm.room.redaction') showRedactsInBothPlaces(clientEvent, event, rules);
  if (unsigned !== undefined) clientEvent['unsigned'] = unsigned;
  return clientEvent;
};

/**
 * Clients of either age find the redacted event where they look for it:
 * https://spec.matrix.org/v1.19/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
 */
const showRedactsInBothPlaces = (
  clientEvent: JsonObject,
  event: MatrixEvent,
  rules: RoomVersionRules,
): void => {
  if (rules.redaction.redactsInContent) {
    const redacts = event.content['redacts'];
    if (redacts !== undefined) clientEvent['redacts'] = redacts;
  } else if (event.pdu.redacts !== undefined) {
    clientEvent['redacts'] = event.pdu.redacts;
    clientEvent['content'] = { ...event.content, redacts: event.pdu.redacts };
  }
};

/** A state event reduced to what somebody outside the room may see of it. */
export const toStrippedState = (event: MatrixEvent): JsonObject => ({
  content: event.content,
  sender: event.sender,
  state_key: event.stateKey ?? '',
  type: event.type,
});
