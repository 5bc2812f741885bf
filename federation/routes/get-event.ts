/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid */
import { Type } from 'typebox';
import { EventIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { PduTransaction, type RoomReadingDeps } from './room-reading.ts';

type Deps = Pick<
  RoomReadingDeps,
  'auth' | 'serverName' | 'clock' | 'registry' | 'events' | 'access' | 'visibility'
>;

export const getEvent = (deps: Deps): Route =>
  route({
    operationId: 'getEvent',
    method: 'GET',
    path: '/_matrix/federation/v1/event/{eventId}',
    auth: deps.auth,
    rateLimit: perUser('federation'),
    params: Type.Object({ eventId: EventIdSchema }),
    response: PduTransaction,
    handler: async ({ params, requester }) => {
      const { registry, events, access, visibility, serverName, clock } = deps;
      const notFound = () => matrixError('M_NOT_FOUND', `Could not find event ${params.eventId}`);
      const stored = await events.byId(params.eventId);
      const room = stored && (await registry.findByNid(stored.roomNid));
      if (stored === undefined || room === undefined) throw notFound();
      if (stored.rejectedReason !== undefined) throw notFound();
      if (!(await access.aclOf(room)).allows(requester)) {
        throw matrixError('M_FORBIDDEN', 'Your server is not allowed in this room');
      }
      const isParticipant = room.hasJoinedServer(requester);
      if (!isParticipant && !(await visibility.maySee(requester, room, stored))) throw notFound();
      const [pdu] = await visibility.pdusFor(requester, room, [stored]);
      return {
        origin: serverName,
        origin_server_ts: clock.nowMs(),
        pdus: [rawJson<JsonObject>(pdu as string)],
      };
    },
  });
