/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const defaultLimit = 50;
const maxLimit = 50;
const maxDepth = 100;

const tokenPattern = /^h1_(\d{1,9})_(\d{1,9})_([01])$/;

export const getSpaceHierarchy = ({
  auth,
  spaceHierarchy,
}: Pick<ClientApiDeps, 'auth' | 'spaceHierarchy'>) =>
  route({
    operationId: 'getSpaceHierarchy',
    method: 'GET',
    path: clientPaths('v1', '/rooms/{roomId}/hierarchy'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      suggested_only: Type.Optional(Type.Boolean()),
      limit: Type.Optional(Type.Integer({ minimum: 1 })),
      max_depth: Type.Optional(Type.Integer({ minimum: 0 })),
      from: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, params: { roomId }, query }) => {
      const depth = Math.min(query.max_depth ?? maxDepth, maxDepth);
      const suggestedOnly = query.suggested_only ?? false;
      const page = await spaceHierarchy.page({
        userId: requester.userId,
        roomId,
        suggestedOnly,
        maxDepth: depth,
        limit: Math.min(query.limit ?? defaultLimit, maxLimit),
        offset: query.from === undefined ? 0 : offsetIn(query.from, depth, suggestedOnly),
      });
      return {
        rooms: page.rooms,
        ...(page.next !== undefined && {
          next_batch: `h1_${page.next}_${depth}_${suggestedOnly ? 1 : 0}`,
        }),
      };
    },
  });

const offsetIn = (token: string, depth: number, suggestedOnly: boolean): number => {
  const match = tokenPattern.exec(token);
  if (match === null) throw matrixError('M_INVALID_PARAM', "'from' is no token of this list");
  if (Number(match[2]) !== depth || (match[3] === '1') !== suggestedOnly) {
    throw matrixError('M_INVALID_PARAM', 'max_depth and suggested_only may not change');
  }
  return Number(match[1]);
};
