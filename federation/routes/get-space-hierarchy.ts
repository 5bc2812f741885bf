/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid */
import { Type } from 'typebox';
import type { ServerHierarchy } from '../../homeserver/discovery/server-hierarchy.ts';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { RoomAccess } from '../rooms/room-access.ts';

export interface GetSpaceHierarchyDeps {
  readonly auth: Auth<ServerName>;
  readonly access: RoomAccess;
  readonly hierarchy: ServerHierarchy;
}

const Summary = Type.Unsafe<JsonObject>(
  Type.Object({ room_id: RoomIdSchema, num_joined_members: Type.Integer() }),
);

export const getSpaceHierarchy = ({ auth, access, hierarchy }: GetSpaceHierarchyDeps): Route =>
  route({
    operationId: 'getSpaceHierarchy',
    method: 'GET',
    path: '/_matrix/federation/v1/hierarchy/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({ suggested_only: Type.Boolean({ default: false }) }),
    response: Type.Object({
      room: Summary,
      children: Type.Array(Summary),
      inaccessible_children: Type.Array(RoomIdSchema),
    }),
    handler: async ({ params, query, requester }) => {
      const space = await access.forVisitor(requester, params.roomId);
      const found = await hierarchy.of(requester, space, query.suggested_only);
      return {
        room: found.room,
        children: [...found.children],
        inaccessible_children: [...found.inaccessibleChildren],
      };
    },
  });
