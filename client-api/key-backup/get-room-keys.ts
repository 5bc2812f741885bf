/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AllKeys, dataOf, type KeyData, VersionQuery } from './schemas.ts';

export const getRoomKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'getRoomKeys',
    method: 'GET',
    path: clientPaths('v3', '/room_keys/keys'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    query: VersionQuery,
    response: AllKeys,
    handler: async ({ requester, query }) => {
      const rows = await encryption.keyBackups.keys(requester.userId, query.version, {});
      const rooms: Record<string, { sessions: Record<string, KeyData> }> = {};
      for (const row of rows) {
        const room = rooms[row.roomId] ?? { sessions: {} };
        room.sessions[row.sessionId] = dataOf(row);
        rooms[row.roomId] = room;
      }
      return { rooms };
    },
  });
