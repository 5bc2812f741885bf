/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias */
import { Type } from 'typebox';
import { RoomIdOrAliasSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { EnteredRoom, ViaQuery, viaOf } from './entry.ts';

export const knockRoom = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
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
    handler: async ({ requester, params, query, body }) => {
      const roomId = await membership.knock(requester.userId, params.roomIdOrAlias, {
        via: viaOf(query),
        reason: body.reason,
      });
      return { room_id: roomId };
    },
  });
