/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { formatPlace, parsePlace } from '../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { EventTexts } from './event-texts.ts';
import { roomEventFilterOf } from './room-event-filter.ts';

const defaultLimit = 10;
const maxLimit = 1000;

export const getRoomEvents = ({
  auth,
  history,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'history' | 'clientEvents'>) =>
  route({
    operationId: 'getRoomEvents',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/messages'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      from: Type.Optional(Type.String()),
      to: Type.Optional(Type.String()),
      dir: Type.Union([Type.Literal('b'), Type.Literal('f')]),
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      filter: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, params, query }) => {
      const page = await history.messages({
        userId: requester.userId,
        roomId: params.roomId,
        from: placeOf(query.from),
        to: placeOf(query.to),
        direction: query.dir === 'b' ? 'backwards' : 'forwards',
        limit: Math.min(query.limit ?? defaultLimit, maxLimit),
        filter: roomEventFilterOf(query.filter),
      });
      const texts = new EventTexts(clientEvents, page.room, requester);
      return {
        chunk: await texts.views(page.events),
        start: formatPlace(page.start),
        ...(page.end !== undefined && { end: formatPlace(page.end) }),
        ...(page.state.length > 0 && { state: await texts.views(page.state) }),
      };
    },
  });

/** Clients of old say END for the newest event there is. */
const placeOf = (token: string | undefined) =>
  token === undefined || token === '' || token === 'END' ? undefined : parsePlace(token);
