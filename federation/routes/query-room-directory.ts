/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory */
import { Type } from 'typebox';
import {
  RoomAliasSchema,
  RoomIdSchema,
  ServerNameSchema,
} from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import type { RoomAliases } from '../../homeserver/rooms/room-aliases.ts';
import { matrixError } from '../../spec/errors.ts';
import { type ServerName, serverNameOf } from '../../spec/identifiers.ts';

export interface QueryRoomDirectoryDeps {
  readonly auth: Auth<ServerName>;
  readonly serverName: ServerName;
  readonly roomAliases: Pick<RoomAliases, 'resolve'>;
}

export const queryRoomDirectory = (deps: QueryRoomDirectoryDeps): Route =>
  route({
    operationId: 'queryRoomDirectory',
    method: 'GET',
    path: '/_matrix/federation/v1/query/directory',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    query: Type.Object({ room_alias: RoomAliasSchema }),
    response: Type.Object({ room_id: RoomIdSchema, servers: Type.Array(ServerNameSchema) }),
    handler: async ({ query }) => {
      // Nobody is asked on another server's behalf.
      if (serverNameOf(query.room_alias) !== deps.serverName) {
        throw matrixError('M_NOT_FOUND', 'The alias is not of this server');
      }
      const { roomId, servers } = await deps.roomAliases.resolve(query.room_alias);
      return { room_id: roomId, servers: [...servers] };
    },
  });
