/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { InboundInvites } from '../rooms/inbound-invites.ts';
import { SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';

export interface InviteRouteDeps {
  readonly auth: Auth<ServerName>;
  readonly invites: InboundInvites;
}

/** Of the event and what is told of the room: a hundred times what they usually hold. */
export const MAX_BODY_VALUES = 33_000;

export const sendInviteV2 = ({ auth, invites }: InviteRouteDeps): Route =>
  route({
    operationId: 'sendInviteV2',
    method: 'PUT',
    path: '/_matrix/federation/v2/invite/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    maxBodyValues: MAX_BODY_VALUES,
    params: SubmittedParams,
    body: Type.Object({
      room_version: Type.String(),
      event: PduSchema,
      invite_room_state: Type.Optional(Type.Unknown()),
    }),
    response: Type.Object({ event: PduSchema }),
    handler: async ({ params, body, requester }) => ({
      event: await invites.receive({
        origin: requester,
        roomId: params.roomId,
        eventId: params.eventId,
        roomVersion: body.room_version,
        event: body.event,
        roomState: body.invite_room_state,
      }),
    }),
  });
