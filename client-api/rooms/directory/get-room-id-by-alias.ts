/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias */
import { Type } from 'typebox';
import { RoomAliasSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { optional } from '../../optional-auth.ts';
import { clientPaths } from '../../paths.ts';

export const getRoomIdByAlias = ({
  auth,
  roomAliases,
}: Pick<ClientApiDeps, 'auth' | 'roomAliases'>) =>
  route({
    operationId: 'getRoomIdByAlias',
    method: 'GET',
    path: clientPaths('v3', '/directory/room/{roomAlias}'),
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('general'),
    params: Type.Object({ roomAlias: RoomAliasSchema }),
    response: Type.Object({ room_id: RoomIdSchema, servers: Type.Array(Type.String()) }),
    handler: async ({ params, requester }) => {
      const { roomId, servers } = await roomAliases.resolve(params.roomAlias, requester?.userId);
      return { room_id: roomId, servers: [...servers] };
    },
  });
