/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias */
import { Type } from 'typebox';
import { RoomAliasSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const setRoomAlias = ({ auth, roomAliases }: Pick<ClientApiDeps, 'auth' | 'roomAliases'>) =>
  route({
    operationId: 'setRoomAlias',
    method: 'PUT',
    path: clientPaths('v3', '/directory/room/{roomAlias}'),
    auth: auth.active,
    rateLimit: perUser('general'),
    params: Type.Object({ roomAlias: RoomAliasSchema }),
    body: Type.Object({ room_id: RoomIdSchema }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await roomAliases.add(requester.userId, params.roomAlias, body.room_id);
      return {};
    },
  });
