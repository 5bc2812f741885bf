/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData } from '../interactive.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { removeDevices } from './remove-devices.ts';

export const deleteDevices = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'deleteDevices',
    method: 'POST',
    path: clientPaths('v3', '/delete_devices'),
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    body: Type.Object({
      devices: Type.Array(DeviceIdSchema, { maxItems: 1_000 }),
      auth: Type.Optional(AuthData),
    }),
    response: Done,
    handler: (call) =>
      removeDevices(accounts, 'deleteDevices', call, call.body.devices, call.body.auth),
  });
