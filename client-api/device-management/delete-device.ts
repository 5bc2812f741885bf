/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData } from '../interactive.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { removeDevices } from './remove-devices.ts';

export const deleteDevice = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'deleteDevice',
    method: 'DELETE',
    path: clientPaths('v3', '/devices/{deviceId}'),
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    params: Type.Object({ deviceId: DeviceIdSchema }),
    body: Type.Object({ auth: Type.Optional(AuthData) }),
    response: Done,
    handler: (call) =>
      removeDevices(accounts, 'deleteDevice', call, [call.params.deviceId], call.body.auth),
  });
