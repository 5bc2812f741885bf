/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Backup } from './schemas.ts';

export const postRoomKeysVersion = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'postRoomKeysVersion',
    method: 'POST',
    path: clientPaths('v3', '/room_keys/version'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    body: Backup,
    response: Type.Object({ version: Type.String() }),
    handler: async ({ requester, body }) => ({
      version: await encryption.keyBackups.create(requester.userId, body.algorithm, body.auth_data),
    }),
  });
