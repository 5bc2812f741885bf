/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { Backup, VersionParams } from './schemas.ts';

export const putRoomKeysVersion = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'putRoomKeysVersion',
    method: 'PUT',
    path: clientPaths('v3', '/room_keys/version/{version}'),
    auth: auth.user,
    rateLimit: perUser('key_backup'),
    params: VersionParams,
    body: Type.Object({
      ...Backup.properties,
      version: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
    }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      if (body.version !== undefined && String(body.version) !== params.version) {
        throw matrixError('M_INVALID_PARAM', 'The body is about another version than the path');
      }
      await encryption.keyBackups.setAuthData(
        requester.userId,
        params.version,
        body.algorithm,
        body.auth_data,
      );
      return {};
    },
  });
