/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases */
import { Type } from 'typebox';
import { RoomAliasSchema, RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';

export const getLocalAliases = ({
  auth,
  roomAliases,
}: Pick<ClientApiDeps, 'auth' | 'roomAliases'>) =>
  route({
    operationId: 'getLocalAliases',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/aliases'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: Type.Object({ roomId: RoomIdSchema }),
    response: Type.Object({ aliases: Type.Array(RoomAliasSchema) }),
    handler: async ({ requester, params }) => ({
      aliases: await roomAliases.list(requester.userId, params.roomId, requester.isAdmin),
    }),
  });
