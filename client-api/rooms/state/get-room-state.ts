/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { EventTexts } from '../../history/event-texts.ts';
import { clientPaths } from '../../paths.ts';

export const getRoomState = ({
  auth,
  roomState,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'roomState' | 'clientEvents'>) =>
  route({
    operationId: 'getRoomState',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/state'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    params: Type.Object({ roomId: RoomIdSchema }),
    handler: async ({ requester, params }) => {
      const [room, events] = await roomState.events(requester.userId, params.roomId);
      return new EventTexts(clientEvents, room, requester).views(events);
    },
  });
