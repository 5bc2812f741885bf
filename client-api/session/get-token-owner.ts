/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami */
import { Type } from 'typebox';
import { DeviceIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const getTokenOwner = ({ auth }: Pick<ClientApiDeps, 'auth'>) =>
  route({
    operationId: 'getTokenOwner',
    method: 'GET',
    path: clientPaths('v3', '/account/whoami'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    response: Type.Object({
      user_id: UserIdSchema,
      device_id: Type.Optional(DeviceIdSchema),
      is_guest: Type.Boolean(),
    }),
    handler: ({ requester: { userId, deviceId, isGuest } }) => ({
      user_id: userId,
      ...(deviceId === undefined ? {} : { device_id: deviceId }),
      is_guest: isGuest,
    }),
  });
