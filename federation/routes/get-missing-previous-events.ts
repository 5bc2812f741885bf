/** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { JsonObject } from '../../spec/event.ts';
import { PduSchema, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<RoomReadingDeps, 'auth' | 'access' | 'visibility' | 'walk'>;

const MAX_EVENTS = 50;
const MAX_NAMED = 100;
/** As many ids as may be named, each as long as it may be. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_BODY_VALUES = 1_000;
const NamedEvents = Type.Array(EventIdSchema, { maxItems: MAX_NAMED, default: [] });

export const getMissingPreviousEvents = ({ auth, access, visibility, walk }: Deps): Route =>
  route({
    operationId: 'getMissingPreviousEvents',
    method: 'POST',
    path: '/_matrix/federation/v1/get_missing_events/{roomId}',
    auth,
    rateLimit: perUser('federation'),
    jsonTrust: 'server',
    maxBodyBytes: MAX_BODY_BYTES,
    maxBodyValues: MAX_BODY_VALUES,
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Object({
      // Required, but whoever asks about nothing can be told: nothing, or that they may not ask.
      earliest_events: NamedEvents,
      latest_events: NamedEvents,
      limit: Type.Integer({ default: 10 }),
      min_depth: Type.Integer({ default: 0 }),
    }),
    response: Type.Object({ events: Type.Array(PduSchema) }),
    handler: async ({ params, body, requester }) => {
      const room = await access.forParticipant(requester, params.roomId);
      const found = await walk.between(room, {
        latest: body.latest_events,
        earliest: body.earliest_events,
        limit: Math.max(0, Math.min(body.limit, MAX_EVENTS)),
        minDepth: body.min_depth,
      });
      const pdus = await visibility.pdusFor(requester, room, found);
      return { events: pdus.map((pdu) => rawJson<JsonObject>(pdu)) };
    },
  });
