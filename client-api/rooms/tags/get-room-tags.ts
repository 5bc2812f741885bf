/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { route } from '../../../homeserver/http/route.ts';
import { assertSelf } from '../../auth.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { AnyObject } from '../../schemas.ts';
import { tagsIn, tagsType } from './room-tags.ts';

export const getRoomTags = ({ auth, accountData }: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'getRoomTags',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/tags'),
    auth: auth.user,
    params: Type.Object({ userId: UserIdSchema, roomId: RoomIdSchema }),
    response: Type.Object({ tags: AnyObject }),
    handler: async ({ requester, params: { userId, roomId } }) => {
      assertSelf(requester, userId, 'see the tags');
      return { tags: tagsIn(await accountData.get(userId, roomId, tagsType)) };
    },
  });
