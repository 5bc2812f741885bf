/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData, interactively } from '../interactive.ts';
import { clientPaths } from '../paths.ts';

export const deactivateAccount = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'deactivateAccount',
    method: 'POST',
    path: clientPaths('v3', '/account/deactivate'),
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    body: Type.Object({
      auth: Type.Optional(AuthData),
      id_server: Type.Optional(Type.String()),
      erase: Type.Boolean({ default: false }),
    }),
    response: Type.Object({
      id_server_unbind_result: Type.Union([Type.Literal('success'), Type.Literal('no-support')]),
    }),
    handler: async ({ ip, requester: { userId, appserviceId }, body: { auth: given, erase } }) => {
      // This server binds nothing at identity servers, so there is nothing to unbind there.
      const result = { id_server_unbind_result: 'success' } as const;
      if (appserviceId !== undefined) {
        await accounts.changes.deactivate(userId, { erase });
        return result;
      }
      return interactively(
        accounts.interactiveAuth,
        {
          operation: 'deactivateAccount',
          userId,
          ip,
          flows: await accounts.credentials.reauthenticationFlows(userId),
          auth: given,
          boundTo: erase,
        },
        async (passed) => {
          await accounts.changes.deactivate(userId, { erase, passed });
          return result;
        },
      );
    },
  });
