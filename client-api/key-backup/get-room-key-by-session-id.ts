/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { dataOf, KeyData, SessionParams, VersionQuery } from './schemas.ts';

export const getRoomKeyBySessionId = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'getRoomKeyBySessionId',
    method: 'GET',
    path: clientPaths('v3', '/room_keys/keys/{roomId}/{sessionId}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: SessionParams,
    query: VersionQuery,
    response: KeyData,
    handler: async ({ requester, params, query }) => {
      const [row] = await encryption.keyBackups.keys(requester.userId, query.version, params);
      if (row === undefined) throw matrixError('M_NOT_FOUND', 'There is no such key');
      return dataOf(row);
    },
  });
