/**
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype
 */
import { Type } from 'typebox';
import { assertWritableType } from '../../homeserver/accounts/account-data-types.ts';
import { RoomIdSchema, UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

export const setAccountDataPerRoom = ({
  auth,
  accountData,
}: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'setAccountDataPerRoom',
    method: 'PUT',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/account_data/{type}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({
      userId: UserIdSchema,
      roomId: RoomIdSchema,
      type: Type.String({ minLength: 1 }),
    }),
    body: AnyObject,
    response: Done,
    handler: async ({ params: { userId, roomId, type }, body }) => {
      assertWritableType(type);
      await accountData.put(userId, roomId, type, body);
      return {};
    },
  });
