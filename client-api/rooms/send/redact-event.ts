/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { AnyObject } from '../../schemas.ts';
import { TimestampQuery, timestampOf } from './timestamp.ts';

export const redactEvent = ({ auth, eventSender }: Pick<ClientApiDeps, 'auth' | 'eventSender'>) =>
  route({
    operationId: 'redactEvent',
    method: 'PUT',
    path: clientPaths('v3', '/rooms/{roomId}/redact/{eventId}/{txnId}'),
    auth: auth.user,
    rateLimit: perUser('redact'),
    params: Type.Object({
      roomId: RoomIdSchema,
      eventId: EventIdSchema,
      txnId: Type.String({ minLength: 1, maxLength: 255 }),
    }),
    query: TimestampQuery,
    body: AnyObject,
    response: Type.Object({ event_id: EventIdSchema }),
    handler: async ({ requester, params: { roomId, eventId, txnId }, query, body }) => {
      const ts = timestampOf(requester, query);
      const message = { roomId, txnId, content: body, ts };
      return { event_id: await eventSender.redaction(requester, message, eventId) };
    },
  });
