/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const leaveRoom = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
  route({
    operationId: 'leaveRoom',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/leave'),
    auth: auth.userOrGuest,
    rateLimit: perUser('join'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({ reason: Type.Optional(Type.String()) }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await membership.leave(requester.userId, params.roomId, body.reason);
      return {};
    },
  });
