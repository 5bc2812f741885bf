/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { matrixError } from '../../../spec/errors.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const postReceipt = ({ auth, receipts }: Pick<ClientApiDeps, 'auth' | 'receipts'>) =>
  route({
    operationId: 'postReceipt',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/receipt/{receiptType}/{eventId}'),
    auth: auth.user,
    rateLimit: perUser('receipt'),
    params: Type.Object({
      roomId: RoomIdSchema,
      receiptType: Type.Union([
        Type.Literal('m.read'),
        Type.Literal('m.read.private'),
        Type.Literal('m.fully_read'),
      ]),
      eventId: EventIdSchema,
    }),
    body: Type.Object({ thread_id: Type.Optional(Type.Unknown()) }),
    response: Done,
    handler: async ({ requester, params: { roomId, receiptType, eventId }, body }) => {
      const { thread_id: threadId } = body;
      if (threadId !== undefined && typeof threadId !== 'string') {
        throw matrixError('M_INVALID_PARAM', 'thread_id is not a string');
      }
      await receipts.set(requester.userId, roomId, receiptType, eventId, threadId);
      return {};
    },
  });
