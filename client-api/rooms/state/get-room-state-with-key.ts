/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey */
import { Type } from 'typebox';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { EventTexts } from '../../history/event-texts.ts';
import { StateParams, statePaths } from './state-paths.ts';

export const getRoomStateWithKey = ({
  auth,
  roomState,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'roomState' | 'clientEvents'>) =>
  route({
    operationId: 'getRoomStateWithKey',
    method: 'GET',
    path: statePaths,
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    params: StateParams,
    query: Type.Object({
      format: Type.Optional(Type.Union([Type.Literal('content'), Type.Literal('event')])),
    }),
    handler: async ({ requester, params: { roomId, eventType, stateKey }, query }) => {
      const [room, view] = await roomState.event(requester.userId, roomId, eventType, stateKey);
      if (query.format !== 'event') return view.stored.event.content;
      const [text] = await new EventTexts(clientEvents, room, requester).views([view]);
      return text;
    },
  });
