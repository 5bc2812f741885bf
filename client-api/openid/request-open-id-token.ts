/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token */
import { Type } from 'typebox';
import { openIdLifetimeMs } from '../../homeserver/accounts/openid-tokens.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const requestOpenIdToken = ({
  auth,
  openIdTokens,
  serverName,
}: Pick<ClientApiDeps, 'auth' | 'openIdTokens' | 'serverName'>) =>
  route({
    operationId: 'requestOpenIdToken',
    method: 'POST',
    path: clientPaths('v3', '/user/{userId}/openid/request_token'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({ userId: UserIdSchema }),
    body: AnyObject,
    response: Type.Object({
      access_token: Type.String(),
      token_type: Type.Literal('Bearer'),
      matrix_server_name: Type.String(),
      expires_in: Type.Integer(),
    }),
    handler: async ({ params: { userId } }) => {
      return {
        access_token: await openIdTokens.issue(userId),
        token_type: 'Bearer' as const,
        matrix_server_name: serverName,
        expires_in: openIdLifetimeMs / 1000,
      };
    },
  });
