/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { formatPlace, parsePlace } from '../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../deps.ts';
import { EventTexts } from '../history/event-texts.ts';
import { clientPaths } from '../paths.ts';

const defaultLimit = 20;
const maxLimit = 100;

export const getThreadRoots = ({
  auth,
  relatedEvents,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'relatedEvents' | 'clientEvents'>) =>
  route({
    operationId: 'getThreadRoots',
    method: 'GET',
    path: clientPaths('v1', '/rooms/{roomId}/threads'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      include: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('participated')])),
      limit: Type.Optional(Type.Integer({ minimum: 1 })),
      from: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, params: { roomId }, query }) => {
      const page = await relatedEvents.threads({
        userId: requester.userId,
        roomId,
        participatedOnly: query.include === 'participated',
        from: query.from === undefined ? undefined : parsePlace(query.from),
        limit: Math.min(query.limit ?? defaultLimit, maxLimit),
      });
      return {
        chunk: await new EventTexts(clientEvents, page.room, requester).views(page.events),
        ...(page.next !== undefined && { next_batch: formatPlace(page.next) }),
      };
    },
  });
