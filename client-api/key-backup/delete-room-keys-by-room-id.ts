/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupState, RoomParams, VersionQuery } from './schemas.ts';

export const deleteRoomKeysByRoomId = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'deleteRoomKeysByRoomId',
    method: 'DELETE',
    path: clientPaths('v3', '/room_keys/keys/{roomId}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: RoomParams,
    query: VersionQuery,
    response: BackupState,
    handler: ({ requester, params, query }) =>
      encryption.keyBackups.deleteKeys(requester.userId, query.version, params),
  });
