/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { DeviceReply, deviceReply } from './device-reply.ts';

export const getDevices = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getDevices',
    method: 'GET',
    path: clientPaths('v3', '/devices'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    response: Type.Object({ devices: Type.Array(DeviceReply) }),
    handler: async ({ requester }) => ({
      devices: (await accounts.devices.list(requester.userId)).map(deviceReply),
    }),
  });
