/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { eventIn, PduSchema, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'events' | 'access' | 'states'>;

export const getRoomState = ({ auth, events, access, states }: Deps): Route =>
  route({
    operationId: 'getRoomState',
    method: 'GET',
    path: '/_matrix/federation/v1/state/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({ event_id: EventIdSchema }),
    response: Type.Object({ auth_chain: Type.Array(PduSchema), pdus: Type.Array(PduSchema) }),
    handler: async ({ params, query, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const stored = await eventIn(events, room, query.event_id);
      return rawJson(await states.stateJson(room, stored));
    },
  });
