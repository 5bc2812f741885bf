/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { refreshPart } from './session-reply.ts';

export const refresh = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'refresh',
    method: 'POST',
    path: clientPaths('v3', '/refresh'),
    rateLimit: perIp('general'),
    body: Type.Object({ refresh_token: Type.String() }),
    response: Type.Object({
      access_token: Type.String(),
      refresh_token: Type.Optional(Type.String()),
      expires_in_ms: Type.Optional(Type.Integer()),
    }),
    handler: async ({ body }) => {
      const session = await accounts.sessions.refresh(body.refresh_token);
      return { access_token: session.accessToken, ...refreshPart(session) };
    },
  });
