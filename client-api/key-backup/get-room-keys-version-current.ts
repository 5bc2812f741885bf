/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { BackupInfo } from './schemas.ts';

export const getRoomKeysVersionCurrent = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'getRoomKeysVersionCurrent',
    method: 'GET',
    path: clientPaths('v3', '/room_keys/version'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    response: BackupInfo,
    handler: ({ requester }) => encryption.keyBackups.info(requester.userId, undefined),
  });
