/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AllKeys, BackupState, rowsOfRoom, VersionQuery } from './schemas.ts';

export const putRoomKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'putRoomKeys',
    method: 'PUT',
    path: clientPaths('v3', '/room_keys/keys'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    query: VersionQuery,
    body: AllKeys,
    response: BackupState,
    handler: ({ requester, query, body }) => {
      const rows = Object.entries(body.rooms).flatMap(([roomId, { sessions }]) =>
        rowsOfRoom(roomId, sessions),
      );
      return encryption.keyBackups.putKeys(requester.userId, query.version, rows);
    },
  });
