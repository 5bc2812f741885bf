/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const reportRoom = ({ auth, reports }: Pick<ClientApiDeps, 'auth' | 'reports'>) =>
  route({
    operationId: 'reportRoom',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/report'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({ reason: Type.String() }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await reports.ofRoom(requester.userId, params.roomId, body.reason);
      return {};
    },
  });
