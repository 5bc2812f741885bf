/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getFilter = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getFilter',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/filter/{filterId}'),
    auth: self(auth.userOrGuest, 'userId'),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema, filterId: Type.String() }),
    response: AnyObject,
    handler: async ({ params: { userId, filterId } }) => {
      const stored = await accounts.filters.get(userId, filterId);
      if (stored === undefined) throw matrixError('M_NOT_FOUND', 'There is no such filter');
      return stored.definition;
    },
  });
