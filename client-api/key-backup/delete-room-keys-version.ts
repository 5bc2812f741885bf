/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { VersionParams } from './schemas.ts';

export const deleteRoomKeysVersion = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'deleteRoomKeysVersion',
    method: 'DELETE',
    path: clientPaths('v3', '/room_keys/version/{version}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: VersionParams,
    response: Done,
    handler: async ({ requester, params }) => {
      await encryption.keyBackups.delete(requester.userId, params.version);
      return {};
    },
  });
