/**
 * The three ways to ask for the events that relate to one.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid
 */
import { Type } from 'typebox';
import { recursionDepth } from '../../homeserver/discovery/related-events.ts';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { formatPlace, parsePlace } from '../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../deps.ts';
import { EventTexts } from '../history/event-texts.ts';
import { clientPaths } from '../paths.ts';

const defaultLimit = 20;
const maxLimit = 100;

const Parent = { roomId: RoomIdSchema, eventId: EventIdSchema };
const shapes = [
  { operationId: 'getRelatingEvents', path: '', params: Type.Object(Parent) },
  {
    operationId: 'getRelatingEventsWithRelType',
    path: '/{relType}',
    params: Type.Object({ ...Parent, relType: Type.String() }),
  },
  {
    operationId: 'getRelatingEventsWithRelTypeAndEventType',
    path: '/{relType}/{eventType}',
    params: Type.Object({ ...Parent, relType: Type.String(), eventType: Type.String() }),
  },
] as const;

export const getRelatingEvents = ({
  auth,
  relatedEvents,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'relatedEvents' | 'clientEvents'>): Route[] =>
  shapes.map(({ operationId, path, params: schema }) =>
    route({
      operationId,
      method: 'GET',
      path: clientPaths('v1', `/rooms/{roomId}/relations/{eventId}${path}`),
      auth: auth.userOrGuest,
      rateLimit: perUser('history'),
      params: schema,
      query: Type.Object({
        from: Type.Optional(Type.String()),
        to: Type.Optional(Type.String()),
        limit: Type.Optional(Type.Integer({ minimum: 1 })),
        dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
        recurse: Type.Optional(Type.Boolean()),
      }),
      handler: async ({ requester, params, query }) => {
        const { roomId, eventId } = params;
        const page = await relatedEvents.relatingTo({
          userId: requester.userId,
          roomId,
          eventId,
          relType: 'relType' in params ? params.relType : undefined,
          eventType: 'eventType' in params ? params.eventType : undefined,
          from: query.from === undefined ? undefined : parsePlace(query.from),
          to: query.to === undefined ? undefined : parsePlace(query.to),
          direction: query.dir === 'f' ? 'forwards' : 'backwards',
          limit: Math.min(query.limit ?? defaultLimit, maxLimit),
          recurse: query.recurse ?? false,
        });
        return {
          chunk: await new EventTexts(clientEvents, page.room, requester).views(page.events),
          ...(page.next !== undefined && { next_batch: formatPlace(page.next) }),
          ...(query.from !== undefined && { prev_batch: query.from }),
          ...(query.recurse === true && { recursion_depth: recursionDepth }),
        };
      },
    }),
  );
