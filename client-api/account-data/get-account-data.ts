/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getAccountData = ({
  auth,
  accountData,
}: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'getAccountData',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/account_data/{type}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema, type: Type.String() }),
    response: AnyObject,
    handler: async ({ params: { userId, type } }) => {
      const content = await accountData.get(userId, undefined, type);
      if (content === undefined) throw matrixError('M_NOT_FOUND', 'No such account data');
      return content;
    },
  });
