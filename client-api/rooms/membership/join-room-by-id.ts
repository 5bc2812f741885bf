/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { EnteredRoom, JoinBody } from './entry.ts';

export const joinRoomById = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
  route({
    operationId: 'joinRoomById',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/join'),
    auth: auth.activeOrGuest,
    rateLimit: perUser('join'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: JoinBody,
    response: EnteredRoom,
    handler: async ({ requester, params, body }) => {
      const roomId = await membership.join(requester.userId, params.roomId, {
        reason: body.reason,
        isGuest: requester.isGuest,
        thirdPartySigned: body.third_party_signed,
      });
      return { room_id: roomId };
    },
  });
