/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { route } from '../../homeserver/http/route.ts';
import { assertSelf } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const defineFilter = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'defineFilter',
    method: 'POST',
    path: clientPaths('v3', '/user/{userId}/filter'),
    auth: auth.userOrGuest,
    params: Type.Object({ userId: UserIdSchema }),
    body: AnyObject,
    response: Type.Object({ filter_id: Type.String() }),
    handler: async ({ requester, params: { userId }, body }) => {
      assertSelf(requester, userId, 'create filters');
      return { filter_id: await accounts.filters.define(userId, body) };
    },
  });
