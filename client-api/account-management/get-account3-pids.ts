/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const getAccount3PIDs = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getAccount3PIDs',
    method: 'GET',
    path: clientPaths('v3', '/account/3pid'),
    auth: auth.user,
    rateLimit: perUser('read'),
    response: Type.Object({
      threepids: Type.Array(
        Type.Object({
          medium: Type.String(),
          address: Type.String(),
          validated_at: Type.Integer(),
          added_at: Type.Integer(),
        }),
      ),
    }),
    handler: async ({ requester }) => ({
      threepids: (await accounts.users.threepids(requester.userId)).map((threepid) => ({
        medium: threepid.medium,
        address: threepid.address,
        validated_at: threepid.validatedAtMs,
        added_at: threepid.addedAtMs,
      })),
    }),
  });
