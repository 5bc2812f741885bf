/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms */
import { Type } from 'typebox';
import { ServerNameSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { optional } from '../../optional-auth.ts';
import { clientPaths } from '../../paths.ts';
import { PublicRoomsResponse } from './public-rooms-response.ts';

export const getPublicRooms = ({
  auth,
  publicRooms,
}: Pick<ClientApiDeps, 'auth' | 'publicRooms'>) =>
  route({
    operationId: 'getPublicRooms',
    method: 'GET',
    path: clientPaths('v3', '/publicRooms'),
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('general'),
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      since: Type.Optional(Type.String()),
      server: Type.Optional(ServerNameSchema),
    }),
    response: PublicRoomsResponse,
    handler: ({ query: { limit, since, server }, requester }) =>
      publicRooms.list({ limit, since }, server, requester?.userId),
  });
