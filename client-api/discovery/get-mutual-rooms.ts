/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isCompliantUserId } from '../../spec/identifiers.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const pageSize = 1000;
const tokenPattern = /^m1_(\d{1,9})$/;

const offsetIn = (token: string): number => {
  const offset = tokenPattern.exec(token)?.[1];
  if (offset === undefined) throw matrixError('M_INVALID_PARAM', "'from' is no token of this list");
  return Number(offset);
};

export const getMutualRooms = ({
  auth,
  mutualRooms,
}: Pick<ClientApiDeps, 'auth' | 'mutualRooms'>) =>
  route({
    operationId: 'getMutualRooms',
    method: 'GET',
    path: [
      ...clientPaths('v1', '/mutual_rooms'),
      '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms',
    ],
    auth: auth.user,
    rateLimit: perUser('search'),
    query: Type.Object({ user_id: UserIdSchema, from: Type.Optional(Type.String()) }),
    response: Type.Object({
      joined: Type.Array(Type.String()),
      count: Type.Integer(),
      next_batch: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, query: { user_id: other, from } }) => {
      if (!isCompliantUserId(other)) {
        throw matrixError('M_INVALID_PARAM', 'user_id is not a compliant user id');
      }
      if (other === requester.userId) {
        throw matrixError('M_INVALID_PARAM', 'You share every room with yourself');
      }
      const start = from === undefined ? 0 : offsetIn(from);
      const rooms = await mutualRooms.between(requester.userId, other);
      const end = start + pageSize;
      return {
        joined: rooms.slice(start, end),
        count: rooms.length,
        ...(end < rooms.length && { next_batch: `m1_${end}` }),
      };
    },
  });
