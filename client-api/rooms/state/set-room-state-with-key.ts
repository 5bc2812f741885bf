/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
import { Type } from 'typebox';
import { EventIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { AnyObject } from '../../schemas.ts';
import { TimestampQuery, timestampOf } from '../send/timestamp.ts';
import { StateParams, statePaths } from './state-paths.ts';

export const setRoomStateWithKey = ({
  auth,
  eventSender,
}: Pick<ClientApiDeps, 'auth' | 'eventSender'>) =>
  route({
    operationId: 'setRoomStateWithKey',
    method: 'PUT',
    path: statePaths,
    auth: auth.userOrGuest,
    rateLimit: perUser('send'),
    params: StateParams,
    query: TimestampQuery,
    body: AnyObject,
    response: Type.Object({ event_id: EventIdSchema }),
    handler: async ({ requester, params: { roomId, eventType, stateKey }, query, body }) => {
      const eventId = await eventSender.state(requester, {
        roomId,
        type: eventType,
        stateKey,
        content: body,
        ts: timestampOf(requester, query),
      });
      return { event_id: eventId };
    },
  });
