/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { JsonObject } from '../../spec/event.ts';
import { PduTransaction, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<
  RoomReadingDeps,
  'auth' | 'serverName' | 'clock' | 'access' | 'visibility' | 'walk'
>;

const MAX_EVENTS = 100;
const MAX_STARTS = 50;

export const backfillRoom = (deps: Deps): Route =>
  route({
    operationId: 'backfillRoom',
    method: 'GET',
    path: '/_matrix/federation/v1/backfill/{roomId}',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      v: Type.Array(EventIdSchema, { minItems: 1, maxItems: MAX_STARTS }),
      limit: Type.Integer({ minimum: 0 }),
    }),
    response: PduTransaction,
    handler: async ({ params, query, requester }) => {
      const { access, walk, visibility, serverName, clock } = deps;
      const room = await access.forParticipant(requester, params.roomId);
      const found = await walk.back(room, query.v, Math.min(query.limit, MAX_EVENTS));
      const pdus = await visibility.pdusFor(requester, room, found);
      return {
        origin: serverName,
        origin_server_ts: clock.nowMs(),
        pdus: pdus.map((pdu) => rawJson<JsonObject>(pdu)),
      };
    },
  });
