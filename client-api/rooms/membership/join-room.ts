/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias */
import { Type } from 'typebox';
import { RoomIdOrAliasSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { EnteredRoom, JoinBody, ViaQuery, viaOf } from './entry.ts';

export const joinRoom = ({
  auth,
  membership,
  roomAliases,
}: Pick<ClientApiDeps, 'auth' | 'membership' | 'roomAliases'>) =>
  route({
    operationId: 'joinRoom',
    method: 'POST',
    path: clientPaths('v3', '/join/{roomIdOrAlias}'),
    auth: auth.activeOrGuest,
    rateLimit: perUser('join'),
    params: Type.Object({ roomIdOrAlias: RoomIdOrAliasSchema }),
    query: ViaQuery,
    body: JoinBody,
    response: EnteredRoom,
    handler: async ({ requester, params, query, body }) => {
      const { userId } = requester;
      const target = params.roomIdOrAlias;
      const { roomId, servers } = await roomAliases.locate(target, userId, viaOf(query));
      await membership.join(userId, roomId, {
        via: servers,
        reason: body.reason,
        isGuest: requester.isGuest,
        thirdPartySigned: body.third_party_signed,
      });
      return { room_id: roomId };
    },
  });
