/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms */
import { Type } from 'typebox';
import { ServerNameSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { PublicRoomsResponse } from './public-rooms-response.ts';

export const queryPublicRooms = ({
  auth,
  publicRooms,
}: Pick<ClientApiDeps, 'auth' | 'publicRooms'>) =>
  route({
    operationId: 'queryPublicRooms',
    method: 'POST',
    path: clientPaths('v3', '/publicRooms'),
    auth: auth.user,
    rateLimit: perUser('general'),
    query: Type.Object({ server: Type.Optional(ServerNameSchema) }),
    body: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      since: Type.Optional(Type.String()),
      filter: Type.Optional(
        Type.Object({
          generic_search_term: Type.Optional(Type.String()),
          room_types: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Null()]))),
        }),
      ),
      include_all_networks: Type.Optional(Type.Boolean()),
      third_party_instance_id: Type.Optional(Type.String()),
    }),
    response: PublicRoomsResponse,
    handler: ({ query, body, requester }) =>
      publicRooms.list(
        {
          limit: body.limit,
          since: body.since,
          searchTerm: body.filter?.generic_search_term,
          roomTypes: body.filter?.room_types,
          includeAllNetworks: body.include_all_networks,
          networkId: body.third_party_instance_id,
        },
        query.server,
        requester.userId,
      ),
  });
