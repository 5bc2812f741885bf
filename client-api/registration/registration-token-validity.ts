/**
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity
 */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const registrationTokenValidity = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'registrationTokenValidity',
    method: 'GET',
    path: clientPaths('v1', '/register/m.login.registration_token/validity'),
    rateLimit: perIp('token_check'),
    query: Type.Object({ token: Type.String() }),
    response: Type.Object({ valid: Type.Boolean() }),
    handler: async ({ query }) => {
      accounts.registration.flows();
      return { valid: await accounts.registrationTokens.isValid(query.token) };
    },
  });
