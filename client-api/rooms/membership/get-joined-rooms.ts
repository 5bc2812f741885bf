/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';

export const getJoinedRooms = ({ auth, roomState }: Pick<ClientApiDeps, 'auth' | 'roomState'>) =>
  route({
    operationId: 'getJoinedRooms',
    method: 'GET',
    path: clientPaths('v3', '/joined_rooms'),
    auth: auth.user,
    rateLimit: perUser('read'),
    response: Type.Object({ joined_rooms: Type.Array(RoomIdSchema) }),
    handler: async ({ requester }) => ({
      joined_rooms: await roomState.joinedRooms(requester.userId),
    }),
  });
