/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';

const maxCreators = 100;

export const upgradeRoom = ({ auth, roomUpgrader }: Pick<ClientApiDeps, 'auth' | 'roomUpgrader'>) =>
  route({
    operationId: 'upgradeRoom',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/upgrade'),
    auth: auth.active,
    rateLimit: perUser('create_room'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      new_version: Type.String(),
      additional_creators: Type.Optional(Type.Array(UserIdSchema, { maxItems: maxCreators })),
    }),
    response: Type.Object({ replacement_room: RoomIdSchema }),
    handler: async ({ requester, params, body }) => {
      const replacement = await roomUpgrader.upgrade(
        requester.userId,
        params.roomId,
        body.new_version,
        body.additional_creators,
      );
      return { replacement_room: replacement };
    },
  });
