/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perIp } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';

export const getRoomVisibilityOnDirectory = ({ publicRooms }: Pick<ClientApiDeps, 'publicRooms'>) =>
  route({
    operationId: 'getRoomVisibilityOnDirectory',
    method: 'GET',
    path: clientPaths('v3', '/directory/list/room/{roomId}'),
    rateLimit: perIp('general'),
    params: Type.Object({ roomId: RoomIdSchema }),
    response: Type.Object({ visibility: Type.String() }),
    handler: async ({ params }) => ({
      visibility: (await publicRooms.isListed(params.roomId)) ? 'public' : 'private',
    }),
  });
