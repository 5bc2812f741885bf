/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { self } from '../../auth.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const setTyping = ({ auth, typing }: Pick<ClientApiDeps, 'auth' | 'typing'>) =>
  route({
    operationId: 'setTyping',
    method: 'PUT',
    path: clientPaths('v3', '/rooms/{roomId}/typing/{userId}'),
    auth: self(auth.active, 'userId'),
    rateLimit: perUser('typing'),
    params: Type.Object({ roomId: RoomIdSchema, userId: UserIdSchema }),
    body: Type.Object({
      typing: Type.Boolean(),
      timeout: Type.Optional(Type.Integer({ minimum: 0 })),
    }),
    response: Done,
    handler: async ({ params: { roomId, userId }, body }) => {
      await typing.setLocal(userId, roomId, body.typing, body.timeout);
      return {};
    },
  });
