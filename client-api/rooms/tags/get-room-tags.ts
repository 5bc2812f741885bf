/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { self } from '../../auth.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { AnyObject } from '../../schemas.ts';
import { tagsIn, tagsType } from './room-tags.ts';

export const getRoomTags = ({ auth, accountData }: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'getRoomTags',
    method: 'GET',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/tags'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema, roomId: RoomIdSchema }),
    response: Type.Object({ tags: AnyObject }),
    handler: async ({ params: { userId, roomId } }) => {
      return { tags: tagsIn(await accountData.get(userId, roomId, tagsType)) };
    },
  });
