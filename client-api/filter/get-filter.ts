/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { assertSelf } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getFilter = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getFilter',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/filter/{filterId}'),
    auth: auth.userOrGuest,
    params: Type.Object({ userId: UserIdSchema, filterId: Type.String() }),
    response: AnyObject,
    handler: async ({ requester, params: { userId, filterId } }) => {
      assertSelf(requester, userId, 'read filters');
      const stored = await accounts.filters.get(userId, filterId);
      if (stored === undefined) throw matrixError('M_NOT_FOUND', 'There is no such filter');
      return stored.definition;
    },
  });
