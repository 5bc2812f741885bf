/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupState, RoomKeys, RoomParams, rowsOfRoom, VersionQuery } from './schemas.ts';

export const putRoomKeysByRoomId = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'putRoomKeysByRoomId',
    method: 'PUT',
    path: clientPaths('v3', '/room_keys/keys/{roomId}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: RoomParams,
    query: VersionQuery,
    body: RoomKeys,
    response: BackupState,
    handler: ({ requester, params, query, body }) =>
      encryption.keyBackups.putKeys(
        requester.userId,
        query.version,
        rowsOfRoom(params.roomId, body.sessions),
      ),
  });
