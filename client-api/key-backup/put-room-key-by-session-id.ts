/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupState, KeyData, rowOf, SessionParams, VersionQuery } from './schemas.ts';

export const putRoomKeyBySessionId = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'putRoomKeyBySessionId',
    method: 'PUT',
    path: clientPaths('v3', '/room_keys/keys/{roomId}/{sessionId}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: SessionParams,
    query: VersionQuery,
    body: KeyData,
    response: BackupState,
    handler: ({ requester, params: { roomId, sessionId }, query, body }) =>
      encryption.keyBackups.putKeys(requester.userId, query.version, [
        rowOf(roomId, sessionId, body),
      ]),
  });
