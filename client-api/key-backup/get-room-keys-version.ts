/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupInfo, VersionParams } from './schemas.ts';

export const getRoomKeysVersion = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'getRoomKeysVersion',
    method: 'GET',
    path: clientPaths('v3', '/room_keys/version/{version}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: VersionParams,
    response: BackupInfo,
    handler: ({ requester, params }) =>
      encryption.keyBackups.info(requester.userId, params.version),
  });
