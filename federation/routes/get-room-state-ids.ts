/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { eventIn, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'events' | 'access' | 'states'>;

export const getRoomStateIds = ({ auth, events, access, states }: Deps): Route =>
  route({
    operationId: 'getRoomStateIds',
    method: 'GET',
    path: '/_matrix/federation/v1/state_ids/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({ event_id: EventIdSchema }),
    response: Type.Object({
      auth_chain_ids: Type.Array(EventIdSchema),
      pdu_ids: Type.Array(EventIdSchema),
    }),
    handler: async ({ params, query, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const stored = await eventIn(events, room, query.event_id);
      return rawJson(await states.stateIdsJson(room, stored));
    },
  });
