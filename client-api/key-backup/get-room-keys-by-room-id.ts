/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { RoomKeys, RoomParams, sessionsOf, VersionQuery } from './schemas.ts';

export const getRoomKeysByRoomId = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'getRoomKeysByRoomId',
    method: 'GET',
    path: clientPaths('v3', '/room_keys/keys/{roomId}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: RoomParams,
    query: VersionQuery,
    response: RoomKeys,
    handler: async ({ requester, params, query }) => {
      const rows = await encryption.keyBackups.keys(requester.userId, query.version, params);
      return { sessions: sessionsOf(rows) };
    },
  });
