/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const uploadKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'uploadKeys',
    method: 'POST',
    path: clientPaths('v3', '/keys/upload'),
    auth: auth.userOrGuest,
    rateLimit: perUser('keys'),
    body: Type.Object({
      device_keys: Type.Optional(AnyObject),
      one_time_keys: Type.Optional(AnyObject),
      fallback_keys: Type.Optional(AnyObject),
    }),
    response: Type.Object({ one_time_key_counts: Type.Record(Type.String(), Type.Integer()) }),
    handler: async ({ requester: { userId, deviceId }, body }) => {
      if (deviceId === undefined) {
        throw matrixError('M_UNKNOWN_DEVICE', 'Keys are those of a device');
      }
      const counts = await encryption.deviceKeys.upload(userId, deviceId, {
        deviceKeys: body.device_keys,
        oneTimeKeys: body.one_time_keys,
        fallbackKeys: body.fallback_keys,
      });
      return { one_time_key_counts: { ...counts } };
    },
  });
