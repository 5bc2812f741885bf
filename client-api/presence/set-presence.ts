/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { presenceStates } from '../../homeserver/streams/presence-activity.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

export const setPresence = ({ auth, presence }: Pick<ClientApiDeps, 'auth' | 'presence'>) =>
  route({
    operationId: 'setPresence',
    method: 'PUT',
    path: clientPaths('v3', '/presence/{userId}/status'),
    auth: self(auth.active, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({ userId: UserIdSchema }),
    body: Type.Object({
      presence: Type.Union(presenceStates.map((state) => Type.Literal(state))),
      status_msg: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    }),
    response: Done,
    handler: async ({ requester, params: { userId }, body }) => {
      const statusMsg = body.status_msg ?? undefined;
      await presence.set(userId, requester.deviceId, body.presence, statusMsg);
      return {};
    },
  });
