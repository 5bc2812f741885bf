/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { JsonObject } from '../../spec/event.ts';
import { SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';
import type { InviteRouteDeps } from './send-invite-v2.ts';

/** What the room version must be taken to be: that, or 2, whose events look the same. */
const ASSUMED_ROOM_VERSION = '1';

export const sendInviteV1 = ({ auth, invites }: InviteRouteDeps): Route =>
  route({
    operationId: 'sendInviteV1',
    method: 'PUT',
    path: '/_matrix/federation/v1/invite/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    params: SubmittedParams,
    body: PduSchema,
    response: Type.Tuple([Type.Literal(200), Type.Object({ event: PduSchema })]),
    handler: async ({ params, body, requester }) => {
      const unsigned = body['unsigned'] as JsonObject | null | undefined;
      const event = await invites.receive({
        origin: requester,
        roomId: params.roomId,
        eventId: params.eventId,
        roomVersion: ASSUMED_ROOM_VERSION,
        event: body,
        roomState: unsigned?.['invite_room_state'],
      });
      return [200, { event }] as [200, { event: JsonObject }];
    },
  });
