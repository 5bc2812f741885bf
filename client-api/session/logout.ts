/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

export const logout = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'logout',
    method: 'POST',
    path: clientPaths('v3', '/logout'),
    auth: auth.anyToken,
    rateLimit: perUser('general'),
    response: Done,
    handler: async ({ requester: { userId, deviceId } }) => {
      if (deviceId !== undefined) await accounts.devices.delete(userId, [deviceId], undefined);
      return {};
    },
  });
