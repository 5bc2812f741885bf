/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeys */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupState, VersionQuery } from './schemas.ts';

export const deleteRoomKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'deleteRoomKeys',
    method: 'DELETE',
    path: clientPaths('v3', '/room_keys/keys'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    query: VersionQuery,
    response: BackupState,
    handler: ({ requester, query }) =>
      encryption.keyBackups.deleteKeys(requester.userId, query.version, {}),
  });
