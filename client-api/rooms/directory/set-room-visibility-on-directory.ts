/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const setRoomVisibilityOnDirectory = ({
  auth,
  publicRooms,
}: Pick<ClientApiDeps, 'auth' | 'publicRooms'>) =>
  route({
    operationId: 'setRoomVisibilityOnDirectory',
    method: 'PUT',
    path: clientPaths('v3', '/directory/list/room/{roomId}'),
    auth: auth.active,
    rateLimit: perUser('general'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])),
    }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      const listed = body.visibility !== 'private';
      await publicRooms.setListed(requester.userId, params.roomId, listed, requester.isAdmin);
      return {};
    },
  });
