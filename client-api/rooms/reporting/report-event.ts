/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const reportEvent = ({ auth, reports }: Pick<ClientApiDeps, 'auth' | 'reports'>) =>
  route({
    operationId: 'reportEvent',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/report/{eventId}'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: Type.Object({ roomId: RoomIdSchema, eventId: EventIdSchema }),
    body: Type.Object({ reason: Type.Optional(Type.String()) }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await reports.ofEvent(requester.userId, params.roomId, params.eventId, body.reason);
      return {};
    },
  });
