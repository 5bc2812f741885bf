/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_leaveroomiduserid */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { type HandshakeRouteDeps, TemplateSchema } from './handshake-schemas.ts';

export const makeLeave = ({ auth, handshakes }: HandshakeRouteDeps): Route =>
  route({
    operationId: 'makeLeave',
    method: 'GET',
    path: '/_matrix/federation/v1/make_leave/{roomId}/{userId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema, userId: UserIdSchema }),
    response: TemplateSchema,
    handler: ({ params, requester }) =>
      handshakes.template(requester, params.roomId, params.userId, 'leave', undefined),
  });
