/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

export const logoutAll = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'logout_all',
    method: 'POST',
    path: clientPaths('v3', '/logout/all'),
    auth: auth.anyToken,
    rateLimit: perUser('general'),
    response: Done,
    handler: async ({ requester }) => {
      await accounts.devices.deleteAll(requester.userId);
      return {};
    },
  });
