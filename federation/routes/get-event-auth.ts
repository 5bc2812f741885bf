/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { JsonObject } from '../../spec/event.ts';
import { eventIn, PduSchema, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'events' | 'access' | 'states'>;

export const getEventAuth = ({ auth, events, access, states }: Deps): Route =>
  route({
    operationId: 'getEventAuth',
    method: 'GET',
    path: '/_matrix/federation/v1/event_auth/{roomId}/{eventId}',
    auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema, eventId: EventIdSchema }),
    response: Type.Object({ auth_chain: Type.Array(PduSchema) }),
    handler: async ({ params, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const stored = await eventIn(events, room, params.eventId);
      const chain = await states.authChain(room, stored);
      return { auth_chain: rawJson<JsonObject[]>(await states.list(room, chain)) };
    },
  });
