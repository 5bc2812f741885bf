/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { type HandshakeRouteDeps, TemplateSchema } from './handshake-schemas.ts';

export const makeJoin = ({ auth, handshakes }: HandshakeRouteDeps): Route =>
  route({
    operationId: 'makeJoin',
    method: 'GET',
    path: '/_matrix/federation/v1/make_join/{roomId}/{userId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema, userId: UserIdSchema }),
    query: Type.Object({ ver: Type.Array(Type.String(), { default: ['1'] }) }),
    response: TemplateSchema,
    handler: ({ params, query, requester }) =>
      handshakes.template(requester, params.roomId, params.userId, 'join', query.ver),
  });
