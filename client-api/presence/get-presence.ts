/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { presenceContent } from '../../homeserver/sync/presence-stream.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const getPresence = ({
  auth,
  presence,
  clock,
}: Pick<ClientApiDeps, 'auth' | 'presence' | 'clock'>) =>
  route({
    operationId: 'getPresence',
    method: 'GET',
    path: clientPaths('v3', '/presence/{userId}/status'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema }),
    response: Type.Object({
      presence: Type.String(),
      last_active_ago: Type.Optional(Type.Integer({ minimum: 0 })),
      status_msg: Type.Optional(Type.String()),
      currently_active: Type.Optional(Type.Boolean()),
    }),
    handler: async ({ requester, params: { userId } }) => {
      if (!(await presence.isVisibleTo(requester.userId, userId))) {
        throw matrixError('M_FORBIDDEN', 'You are not allowed to see their presence');
      }
      const user = presence.of(userId);
      return user === undefined ? { presence: 'offline' } : presenceContent(user, clock.nowMs());
    },
  });
