/**
 * No longer in the specification, but servers that know nothing newer ask so:
 * https://spec.matrix.org/v1.2/server-server-api/#put_matrixfederationv1send_leaveroomideventid
 */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { eventBody, type HandshakeRouteDeps, SubmittedParams } from './handshake-schemas.ts';
import { PduSchema } from './room-reading.ts';

export const sendLeaveV1 = ({ auth, handshakes }: HandshakeRouteDeps): Route =>
  route({
    operationId: 'sendLeaveV1',
    method: 'PUT',
    path: '/_matrix/federation/v1/send_leave/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'signed',
    ...eventBody,
    params: SubmittedParams,
    body: PduSchema,
    response: Type.Tuple([Type.Literal(200), Type.Object({})]),
    handler: async ({ params, body, requester }): Promise<[200, Record<string, never>]> => {
      await handshakes.accept(requester, params.roomId, params.eventId, body, 'leave');
      return [200, {}];
    },
  });
