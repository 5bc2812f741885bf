/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { serverNameOf } from '../../spec/identifiers.ts';
import type { UserKeysDeps } from './query-user-encryption-keys.ts';

const AnyObject = Type.Unsafe<object>(Type.Object({}));

export const getUserDevices = ({ auth, serverName, encryption }: UserKeysDeps): Route =>
  route({
    operationId: 'getUserDevices',
    method: 'GET',
    path: '/_matrix/federation/v1/user/devices/{userId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ userId: UserIdSchema }),
    response: Type.Object({
      user_id: UserIdSchema,
      stream_id: Type.Integer(),
      devices: Type.Array(AnyObject),
      master_key: Type.Optional(AnyObject),
      self_signing_key: Type.Optional(AnyObject),
    }),
    handler: async ({ params: { userId } }) => {
      if (serverNameOf(userId) !== serverName) {
        throw matrixError('M_INVALID_PARAM', 'This is not a user of this server');
      }
      const devices = await encryption.directory.deviceListOf(userId);
      if (devices === undefined) throw matrixError('M_NOT_FOUND', 'User does not exist');
      return devices;
    },
  });
