/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { reply } from '../../homeserver/http/reply.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

export const updateDevice = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'updateDevice',
    method: 'PUT',
    path: clientPaths('v3', '/devices/{deviceId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('general'),
    params: Type.Object({ deviceId: DeviceIdSchema }),
    body: Type.Object({ display_name: Type.Optional(Type.String()) }),
    response: Done,
    handler: async ({ requester, params: { deviceId }, body: { display_name: name } }) => {
      const { userId, appserviceId } = requester;
      const { devices } = accounts;
      if (appserviceId !== undefined && (await devices.create(userId, deviceId, name))) {
        return reply({ status: 201 });
      }
      await devices.rename(userId, deviceId, name);
      return {};
    },
  });
