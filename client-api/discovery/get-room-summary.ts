/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias */
import { Type } from 'typebox';
import { RoomIdOrAliasSchema, ServerNameSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isRoomId } from '../../spec/identifiers.ts';
import type { ClientApiDeps } from '../deps.ts';
import { optional } from '../optional-auth.ts';
import { clientPaths } from '../paths.ts';

/** Rooms this server is not in are unknown to it: `via` is not followed. */
export const getRoomSummary = ({
  auth,
  roomAliases,
  registry,
  roomSummaries,
}: Pick<ClientApiDeps, 'auth' | 'roomAliases' | 'registry' | 'roomSummaries'>) =>
  route({
    operationId: 'getRoomSummary',
    method: 'GET',
    path: [
      ...clientPaths('v1', '/room_summary/{roomIdOrAlias}'),
      '/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary',
    ],
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('general'),
    params: Type.Object({ roomIdOrAlias: RoomIdOrAliasSchema }),
    query: Type.Object({ via: Type.Optional(Type.Array(ServerNameSchema)) }),
    handler: async ({ requester, params: { roomIdOrAlias } }) => {
      const roomId = isRoomId(roomIdOrAlias)
        ? roomIdOrAlias
        : (await roomAliases.resolve(roomIdOrAlias, requester?.userId)).roomId;
      const room = await registry.find(roomId);
      const isHere = room?.hasJoinedServer(room.localServer) === true;
      if (!isHere || !(await roomSummaries.isVisibleTo(requester?.userId, room))) {
        throw matrixError('M_NOT_FOUND', 'Room not found');
      }
      const membership = requester && (room.membership(requester.userId) ?? 'leave');
      return {
        ...(await roomSummaries.summary(room)),
        ...(membership !== undefined && { membership }),
      };
    },
  });
