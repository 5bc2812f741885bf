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

export const getRoomSummary = ({
  auth,
  roomAliases,
  registry,
  roomSummaries,
  remoteSummaries,
}: Pick<
  ClientApiDeps,
  'auth' | 'roomAliases' | 'registry' | 'roomSummaries' | 'remoteSummaries'
>) =>
  route({
    operationId: 'getRoomSummary',
    method: 'GET',
    path: [
      ...clientPaths('v1', '/room_summary/{roomIdOrAlias}'),
      '/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary',
      '/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}',
    ],
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('general'),
    params: Type.Object({ roomIdOrAlias: RoomIdOrAliasSchema }),
    query: Type.Object({ via: Type.Optional(Type.Array(ServerNameSchema)) }),
    handler: async ({ requester, params: { roomIdOrAlias }, query }) => {
      const { roomId, servers } = isRoomId(roomIdOrAlias)
        ? { roomId: roomIdOrAlias, servers: [] }
        : await roomAliases.resolve(roomIdOrAlias, requester?.userId);
      const room = await registry.find(roomId);
      if (room?.hasJoinedServer(room.localServer) === true) {
        if (!(await roomSummaries.isVisibleTo(requester?.userId, room))) throw roomNotFound();
        const membership = requester && (room.membership(requester.userId) ?? 'leave');
        return {
          ...(await roomSummaries.summary(room)),
          ...(membership !== undefined && { membership }),
        };
      }
      // Other servers are asked for nobody unknown.
      if (requester === undefined) throw roomNotFound();
      const { userId } = requester;
      const via = [...(query.via ?? []), ...servers];
      const space = await remoteSummaries.of(userId, roomId, via, REMOTE_TIMEOUT_MS);
      if (space === undefined) throw roomNotFound();
      const { children_state: _children, ...summary } = space.room;
      return { ...summary, membership: await remoteSummaries.membership(userId, roomId) };
    },
  });

const REMOTE_TIMEOUT_MS = 10_000;

const roomNotFound = () => matrixError('M_NOT_FOUND', 'Room not found');
