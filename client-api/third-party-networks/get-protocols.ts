/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

/** Application services bring protocols, and none of this server's does. */
export const getProtocols = ({ auth }: Pick<ClientApiDeps, 'auth'>) =>
  route({
    operationId: 'getProtocols',
    method: 'GET',
    path: clientPaths('v3', '/thirdparty/protocols'),
    auth: auth.user,
    rateLimit: perUser('read'),
    handler: () => ({}),
  });
