/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import { introducingEvents } from '../../homeserver/rooms/stripped-state.ts';
import type { JsonObject } from '../../spec/event.ts';
import { eventBody, type HandshakeRouteDeps, SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';

export interface SendKnockDeps extends HandshakeRouteDeps {
  readonly events: EventStore;
}

export const sendKnock = ({ auth, handshakes, events }: SendKnockDeps): Route =>
  route({
    operationId: 'sendKnock',
    method: 'PUT',
    path: '/_matrix/federation/v1/send_knock/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    ...eventBody,
    params: SubmittedParams,
    body: PduSchema,
    response: Type.Object({ knock_room_state: Type.Array(PduSchema) }),
    handler: async ({ params, body, requester }) => {
      const { room, stored } = await handshakes.accept(
        requester,
        params.roomId,
        params.eventId,
        body,
        'knock',
      );
      const shown = await introducingEvents(events, room.nid, room.state, stored.event.sender);
      const others = shown.filter(({ eventId }) => eventId !== stored.event.eventId);
      return { knock_room_state: others.map(({ pdu }) => pdu as unknown as JsonObject) };
    },
  });
