/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token */
import { Type } from 'typebox';
import { LOGIN_TOKEN_LIFETIME_MS } from '../../homeserver/accounts/login.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData, interactively } from '../interactive.ts';
import { clientPaths } from '../paths.ts';

export const generateLoginToken = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'generateLoginToken',
    method: 'POST',
    path: clientPaths('v1', '/login/get_token'),
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    body: Type.Object({ auth: Type.Optional(AuthData) }),
    response: Type.Object({ login_token: Type.String(), expires_in_ms: Type.Integer() }),
    handler: async ({ ip, body, requester: { userId } }) =>
      interactively(
        accounts.interactiveAuth,
        {
          operation: 'generateLoginToken',
          userId,
          ip,
          flows: await accounts.credentials.reauthenticationFlows(userId),
          auth: body.auth,
        },
        async (passed) => ({
          login_token: await accounts.login.issueToken(userId, passed),
          expires_in_ms: LOGIN_TOKEN_LIFETIME_MS,
        }),
      ),
  });
