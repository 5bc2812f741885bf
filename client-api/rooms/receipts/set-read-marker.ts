/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { receiptTypes } from '../../../homeserver/streams/receipts.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const setReadMarker = ({ auth, receipts }: Pick<ClientApiDeps, 'auth' | 'receipts'>) =>
  route({
    operationId: 'setReadMarker',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/read_markers'),
    auth: auth.user,
    rateLimit: perUser('receipt'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      'm.fully_read': Type.Optional(EventIdSchema),
      'm.read': Type.Optional(EventIdSchema),
      'm.read.private': Type.Optional(EventIdSchema),
    }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      const markers = receiptTypes.map((type) => {
        const eventId = body[type];
        if (eventId === undefined) return undefined;
        return receipts.set(requester.userId, params.roomId, type, eventId);
      });
      await Promise.all(markers);
      return {};
    },
  });
