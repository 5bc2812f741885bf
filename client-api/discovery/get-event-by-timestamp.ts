/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const getEventByTimestamp = ({
  auth,
  eventsByTime,
}: Pick<ClientApiDeps, 'auth' | 'eventsByTime'>) =>
  route({
    operationId: 'getEventByTimestamp',
    method: 'GET',
    path: clientPaths('v1', '/rooms/{roomId}/timestamp_to_event'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      ts: Type.Integer(),
      dir: Type.Union([Type.Literal('f'), Type.Literal('b')]),
    }),
    response: Type.Object({ event_id: Type.String(), origin_server_ts: Type.Integer() }),
    handler: async ({ requester, params: { roomId }, query: { ts, dir } }) => {
      const direction = dir === 'f' ? 'forwards' : 'backwards';
      const event = await eventsByTime.nearest(requester.userId, roomId, ts, direction);
      return { event_id: event.eventId, origin_server_ts: event.originServerTs };
    },
  });
