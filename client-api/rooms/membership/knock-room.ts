/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias */
import { Type } from 'typebox';
import { RoomIdOrAliasSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { EnteredRoom, ViaQuery, viaOf } from './entry.ts';

export const knockRoom = ({
  auth,
  membership,
  roomAliases,
}: Pick<ClientApiDeps, 'auth' | 'membership' | 'roomAliases'>) =>
  route({
    operationId: 'knockRoom',
    method: 'POST',
    path: clientPaths('v3', '/knock/{roomIdOrAlias}'),
    auth: auth.active,
    rateLimit: perUser('join'),
    params: Type.Object({ roomIdOrAlias: RoomIdOrAliasSchema }),
    query: ViaQuery,
    body: Type.Object({ reason: Type.Optional(Type.String()) }),
    response: EnteredRoom,
    handler: async ({ requester: { userId }, params, query, body }) => {
      const target = params.roomIdOrAlias;
      const { roomId, servers } = await roomAliases.locate(target, userId, viaOf(query));
      await membership.knock(userId, roomId, { via: servers, reason: body.reason });
      return { room_id: roomId };
    },
  });
