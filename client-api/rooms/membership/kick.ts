/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const kick = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
  route({
    operationId: 'kick',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/kick'),
    auth: auth.active,
    rateLimit: perUser('general'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({ user_id: UserIdSchema, reason: Type.Optional(Type.String()) }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await membership.kick(requester.userId, params.roomId, body.user_id, body.reason);
      return {};
    },
  });
