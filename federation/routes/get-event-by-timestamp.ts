/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { eventsNearTime } from '../../homeserver/storage/events.ts';
import { matrixError } from '../../spec/errors.ts';
import type { RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'events' | 'access' | 'visibility'> & {
  readonly db: Db;
};

/** Events looked at for one that the other server may see. */
const MAX_EVENTS = 50;

export const getEventByTimestamp = ({ auth, db, events, access, visibility }: Deps): Route =>
  route({
    operationId: 'getEventByTimestamp',
    method: 'GET',
    path: '/_matrix/federation/v1/timestamp_to_event/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      ts: Type.Integer(),
      dir: Type.Union([Type.Literal('f'), Type.Literal('b')]),
    }),
    response: Type.Object({ event_id: EventIdSchema, origin_server_ts: Type.Integer() }),
    handler: async ({ params, query, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const direction = query.dir === 'f' ? 'forwards' : 'backwards';
      const page = { limit: MAX_EVENTS, offset: 0 };
      const records = await eventsNearTime(db, room.nid, query.ts, direction, page);
      for (const stored of events.adopt(records)) {
        if (!(await visibility.maySee(requester, room, stored))) continue;
        const { eventId, originServerTs } = stored.event;
        return { event_id: eventId, origin_server_ts: originServerTs };
      }
      throw matrixError('M_NOT_FOUND', 'There is no event on that side of the time');
    },
  });
