/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { self } from '../../auth.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';
import { tagsIn, tagsType } from './room-tags.ts';

export const deleteRoomTag = ({ auth, accountData }: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'deleteRoomTag',
    method: 'DELETE',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/tags/{tag}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({
      userId: UserIdSchema,
      roomId: RoomIdSchema,
      tag: Type.String({ minLength: 1 }),
    }),
    response: Done,
    handler: async ({ params: { userId, roomId, tag } }) => {
      await accountData.update(userId, roomId, tagsType, (content) => {
        const { [tag]: removed, ...tags } = tagsIn(content);
        return removed === undefined ? undefined : { ...content, tags };
      });
      return {};
    },
  });
