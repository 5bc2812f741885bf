/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { DeviceReply, deviceReply } from './device-reply.ts';

export const getDevice = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getDevice',
    method: 'GET',
    path: clientPaths('v3', '/devices/{deviceId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    params: Type.Object({ deviceId: DeviceIdSchema }),
    response: DeviceReply,
    handler: async ({ requester, params }) => {
      const device = await accounts.devices.get(requester.userId, params.deviceId);
      if (device === undefined) throw matrixError('M_NOT_FOUND', 'There is no such device');
      return deviceReply(device);
    },
  });
