/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid */
import { Type } from 'typebox';
import { EventIdSchema, RoomIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { EventTexts } from './event-texts.ts';

export const getOneRoomEvent = ({
  auth,
  history,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'history' | 'clientEvents'>) =>
  route({
    operationId: 'getOneRoomEvent',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/event/{eventId}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('history'),
    params: Type.Object({ roomId: RoomIdSchema, eventId: EventIdSchema }),
    handler: async ({ requester, params: { roomId, eventId } }) => {
      const [room, view] = await history.event(requester.userId, roomId, eventId);
      const [text] = await new EventTexts(clientEvents, room, requester).views([view]);
      return text as object;
    },
  });
