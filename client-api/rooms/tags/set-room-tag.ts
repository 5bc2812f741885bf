/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { matrixError } from '../../../spec/errors.ts';
import { fitsInBytes } from '../../../spec/identifiers.ts';
import { self } from '../../auth.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';
import { Tag, tagsIn, tagsType } from './room-tags.ts';

const maxTagBytes = 255;
const maxTags = 500;

export const setRoomTag = ({ auth, accountData }: Pick<ClientApiDeps, 'auth' | 'accountData'>) =>
  route({
    operationId: 'setRoomTag',
    method: 'PUT',
    path: clientPaths('v3', '/user/{userId}/rooms/{roomId}/tags/{tag}'),
    auth: self(auth.user, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({
      userId: UserIdSchema,
      roomId: RoomIdSchema,
      tag: Type.String({ minLength: 1 }),
    }),
    body: Tag,
    response: Done,
    handler: async ({ params: { userId, roomId, tag }, body }) => {
      if (!fitsInBytes(tag, maxTagBytes)) {
        throw matrixError('M_INVALID_PARAM', `A tag may have ${maxTagBytes} bytes`);
      }
      await accountData.update(userId, roomId, tagsType, (content) => {
        const tags = tagsIn(content);
        if (!Object.hasOwn(tags, tag) && Object.keys(tags).length >= maxTags) {
          throw matrixError('M_TOO_LARGE', `A room may have ${maxTags} tags`);
        }
        return { ...content, tags: { ...tags, [tag]: body } };
      });
      return {};
    },
  });
