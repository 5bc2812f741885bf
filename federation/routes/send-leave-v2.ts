/** https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { eventBody, type HandshakeRouteDeps, SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';

export const sendLeaveV2 = ({ auth, handshakes }: HandshakeRouteDeps): Route =>
  route({
    operationId: 'sendLeaveV2',
    method: 'PUT',
    path: '/_matrix/federation/v2/send_leave/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    ...eventBody,
    params: SubmittedParams,
    body: PduSchema,
    response: Type.Object({}),
    handler: async ({ params, body, requester }) => {
      await handshakes.accept(requester, params.roomId, params.eventId, body, 'leave');
      return {};
    },
  });
