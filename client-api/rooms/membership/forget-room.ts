/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const forgetRoom = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
  route({
    operationId: 'forgetRoom',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/forget'),
    auth: auth.user,
    rateLimit: perUser('join'),
    params: Type.Object({ roomId: RoomIdSchema }),
    response: Done,
    handler: async ({ requester, params }) => {
      await membership.forget(requester.userId, params.roomId);
      return {};
    },
  });
