/** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { PduSchema, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'access' | 'visibility' | 'walk'>;

const MAX_EVENTS = 50;
const MAX_NAMED = 100;
const NamedEvents = Type.Array(EventIdSchema, { maxItems: MAX_NAMED });

export const getMissingPreviousEvents = ({ auth, access, visibility, walk }: Deps): Route =>
  route({
    operationId: 'getMissingPreviousEvents',
    method: 'POST',
    path: '/_matrix/federation/v1/get_missing_events/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'server',
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      // Required, but a server that may not ask is told so whatever it asks.
      earliest_events: Type.Optional(NamedEvents),
      latest_events: Type.Optional(NamedEvents),
      limit: Type.Integer({ default: 10 }),
      min_depth: Type.Integer({ default: 0 }),
    }),
    response: Type.Object({ events: Type.Array(PduSchema) }),
    handler: async ({ params, body, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const { latest_events: latest, earliest_events: earliest } = body;
      if (latest === undefined || earliest === undefined) {
        throw matrixError('M_MISSING_PARAM', 'earliest_events and latest_events are required');
      }
      const found = await walk.between(room, {
        latest,
        earliest,
        limit: Math.max(0, Math.min(body.limit, MAX_EVENTS)),
        minDepth: body.min_depth,
      });
      const pdus = await visibility.pdusFor(requester, room, found);
      return { events: pdus.map((pdu) => rawJson<JsonObject>(pdu)) };
    },
  });
