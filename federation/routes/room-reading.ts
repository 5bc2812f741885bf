/** What the routes that read rooms have in common. */
import { Type } from 'typebox';
import type { Clock } from '../../homeserver/clock.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RoomRegistry } from '../../homeserver/rooms/room-registry.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import type { GraphWalk } from '../rooms/graph-walk.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { ServerVisibility } from '../rooms/server-visibility.ts';
import type { StateAnswers } from '../rooms/state-answers.ts';

export interface RoomReadingDeps {
  readonly auth: Auth<ServerName>;
  readonly serverName: ServerName;
  readonly clock: Clock;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly access: RoomAccess;
  readonly visibility: ServerVisibility;
  readonly walk: GraphWalk;
  readonly states: StateAnswers;
}

/** A PDU in whatever format its room version has. */
export const PduSchema = Type.Unsafe<JsonObject>(Type.Object({}));

export const PduTransaction = Type.Object({
  origin: Type.String(),
  origin_server_ts: Type.Integer(),
  pdus: Type.Array(PduSchema),
});

/**
 * An event of the room that is not refused.
 * @throws MatrixError M_NOT_FOUND
 */
export const eventIn = async (
  events: EventStore,
  room: LiveRoom,
  eventId: EventId,
): Promise<StoredEvent> => {
  const stored = await events.byId(eventId);
  if (stored?.roomNid !== room.nid || stored.rejectedReason !== undefined) {
    throw matrixError('M_NOT_FOUND', `Could not find event ${eventId}`);
  }
  return stored;
};

export interface EventOfRoom {
  readonly roomId: RoomId;
  readonly eventId: EventId;
}
