/**
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype
 */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getAccountDataPerRoom = ({
  auth,
  accountData,
}: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'getAccountDataPerRoom',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/account_data/{type}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema, roomId: RoomIdSchema, type: Type.String() }),
    response: AnyObject,
    handler: async ({ params: { userId, roomId, type } }) => {
      const content = await accountData.get(userId, roomId, type);
      if (content === undefined) throw matrixError('M_NOT_FOUND', 'No such account data');
      return content;
    },
  });
