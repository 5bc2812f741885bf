/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype */
import { Type } from 'typebox';
import { assertWritableType } from '../../homeserver/accounts/account-data-types.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

export const setAccountData = ({
  auth,
  accountData,
}: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'setAccountData',
    method: 'PUT',
    path: clientPaths('v3', '/user/{userId}/account_data/{type}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({ userId: UserIdSchema, type: Type.String({ minLength: 1 }) }),
    body: AnyObject,
    response: Done,
    handler: async ({ params: { userId, type }, body }) => {
      assertWritableType(type);
      await accountData.put(userId, undefined, type, body);
      return {};
    },
  });
