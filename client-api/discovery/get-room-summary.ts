/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias */
import { Type } from 'typebox';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { RoomIdOrAliasSchema, ServerNameSchema } from '../../homeserver/http/identifier-schemas.ts';
import { addressKey, perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isRoomId } from '../../spec/identifiers.ts';
import { accessTokenOf } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

/** Whoever has no token is somebody unknown; a wrong one is refused. */
const optional = (auth: Auth<Requester>): Auth<Requester | undefined> => ({
  name: auth.name,
  authenticate: (request) =>
    accessTokenOf(request) === undefined ? undefined : auth.authenticate(request),
  limitKey: (requester, ip) =>
    requester === undefined ? addressKey(ip) : auth.limitKey?.(requester, ip),
});

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
        : (await roomAliases.resolve(roomIdOrAlias)).roomId;
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
