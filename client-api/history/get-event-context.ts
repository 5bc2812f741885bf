/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { formatPlace } from '../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { EventTexts } from './event-texts.ts';
import { roomEventFilterOf } from './room-event-filter.ts';

const defaultLimit = 10;
const maxLimit = 100;

export const getEventContext = ({
  auth,
  history,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'history' | 'clientEvents'>) =>
  route({
    operationId: 'getEventContext',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/context/{eventId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema, eventId: EventIdSchema }),
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      filter: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, params: { roomId, eventId }, query }) => {
      const context = await history.context(
        requester.userId,
        roomId,
        eventId,
        Math.min(query.limit ?? defaultLimit, maxLimit),
        roomEventFilterOf(query.filter),
      );
      const texts = new EventTexts(clientEvents, context.room, requester);
      const [event] = await texts.views([context.event]);
      return {
        event: event as object,
        events_before: await texts.views(context.before),
        events_after: await texts.views(context.after),
        start: formatPlace(context.start),
        end: formatPlace(context.end),
        state: await texts.views(context.state),
      };
    },
  });
