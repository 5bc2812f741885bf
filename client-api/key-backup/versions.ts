/**
 * The versions of a person's backup of keys.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion and the
 * operations behind it
 */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

const all = clientPaths('v3', '/room_keys/version');
const one = clientPaths('v3', '/room_keys/version/{version}');
const VersionParams = Type.Object({ version: Type.String() });

/** What a backup's algorithm makes of it is between clients. */
const Opaque = Type.Unsafe<JsonValue>(Type.Unknown());
const Backup = Type.Object({
  algorithm: Type.String({ minLength: 1, maxLength: 255 }),
  auth_data: Opaque,
});
const BackupInfo = Type.Object({
  algorithm: Type.String(),
  auth_data: Opaque,
  count: Type.Integer(),
  etag: Type.String(),
  version: Type.String(),
});

export const backupVersionRoutes = ({
  auth,
  encryption: { keyBackups },
}: Pick<ClientApiDeps, 'auth' | 'encryption'>): Route[] => {
  const common = { auth: auth.user, rateLimit: perUser('key_backup') };
  return [
    route({
      ...common,
      operationId: 'postRoomKeysVersion',
      method: 'POST',
      path: all,
      body: Backup,
      response: Type.Object({ version: Type.String() }),
      handler: async ({ requester: { userId }, body }) => ({
        version: await keyBackups.create(userId, body.algorithm, body.auth_data),
      }),
    }),
    route({
      ...common,
      operationId: 'getRoomKeysVersionCurrent',
      method: 'GET',
      path: all,
      response: BackupInfo,
      handler: ({ requester: { userId } }) => keyBackups.info(userId, undefined),
    }),
    route({
      ...common,
      operationId: 'getRoomKeysVersion',
      method: 'GET',
      path: one,
      params: VersionParams,
      response: BackupInfo,
      handler: ({ requester: { userId }, params }) => keyBackups.info(userId, params.version),
    }),
    route({
      ...common,
      operationId: 'putRoomKeysVersion',
      method: 'PUT',
      path: one,
      params: VersionParams,
      body: Type.Object({
        ...Backup.properties,
        version: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
      }),
      response: Done,
      handler: async ({ requester: { userId }, params: { version }, body }) => {
        if (body.version !== undefined && String(body.version) !== version) {
          throw matrixError('M_INVALID_PARAM', 'The body is about another version than the path');
        }
        await keyBackups.setAuthData(userId, version, body.algorithm, body.auth_data);
        return {};
      },
    }),
    route({
      ...common,
      operationId: 'deleteRoomKeysVersion',
      method: 'DELETE',
      path: one,
      params: VersionParams,
      response: Done,
      handler: async ({ requester: { userId }, params: { version } }) => {
        await keyBackups.delete(userId, version);
        return {};
      },
    }),
  ];
};
