/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { AnyObject } from '../../schemas.ts';
import { TimestampQuery, timestampOf } from './timestamp.ts';

export const sendMessage = ({ auth, eventSender }: Pick<ClientApiDeps, 'auth' | 'eventSender'>) =>
  route({
    operationId: 'sendMessage',
    method: 'PUT',
    path: clientPaths('v3', '/rooms/{roomId}/send/{eventType}/{txnId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('send'),
    isOwnersWork: true,
    params: Type.Object({
      roomId: RoomIdSchema,
      eventType: Type.String({ minLength: 1 }),
      txnId: Type.String({ minLength: 1, maxLength: 255 }),
    }),
    query: TimestampQuery,
    body: AnyObject,
    response: Type.Object({ event_id: EventIdSchema }),
    handler: async ({ requester, params: { roomId, eventType, txnId }, query, body }) => {
      const eventId = await eventSender.message(requester, {
        roomId,
        type: eventType,
        txnId,
        content: body,
        ts: timestampOf(requester, query),
      });
      return { event_id: eventId };
    },
  });
