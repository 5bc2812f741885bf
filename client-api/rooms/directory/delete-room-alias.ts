/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias */
import { Type } from 'typebox';
import { RoomAliasSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const deleteRoomAlias = ({
  auth,
  roomAliases,
}: Pick<ClientApiDeps, 'auth' | 'roomAliases'>) =>
  route({
    operationId: 'deleteRoomAlias',
    method: 'DELETE',
    path: clientPaths('v3', '/directory/room/{roomAlias}'),
    auth: auth.active,
    rateLimit: perUser('general'),
    params: Type.Object({ roomAlias: RoomAliasSchema }),
    response: Done,
    handler: async ({ requester, params }) => {
      await roomAliases.remove(requester.userId, params.roomAlias, requester.isAdmin);
      return {};
    },
  });
