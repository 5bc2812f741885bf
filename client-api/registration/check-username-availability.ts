/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const checkUsernameAvailability = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'checkUsernameAvailability',
    method: 'GET',
    path: clientPaths('v3', '/register/available'),
    rateLimit: perIp('token_check'),
    query: Type.Object({ username: Type.String() }),
    response: Type.Object({ available: Type.Boolean() }),
    handler: async ({ query }) => {
      accounts.registration.flows();
      await accounts.registration.claim(query.username);
      return { available: true };
    },
  });
