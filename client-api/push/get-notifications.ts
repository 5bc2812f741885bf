/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications */
import { Type } from 'typebox';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { Notification } from '../../homeserver/push/notifications.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { EventTexts } from '../history/event-texts.ts';
import { clientPaths } from '../paths.ts';

const defaultLimit = 20;
const maxLimit = 100;

const tokenPattern = /^n1_(\d{1,15})$/;

const positionIn = (token: string): number => {
  const position = tokenPattern.exec(token)?.[1];
  if (position === undefined) throw matrixError('M_INVALID_PARAM', 'Not a token of this endpoint');
  return Number(position);
};

export const getNotifications = ({
  auth,
  notifications,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'notifications' | 'clientEvents'>) => {
  const shown = async (requester: Requester, { room, view, verdict, read }: Notification) => {
    const [event] = await new EventTexts(clientEvents, room, requester).views([view]);
    return {
      actions: verdict.actions,
      event,
      // Rules have no profiles here.
      profile_tag: '',
      read,
      room_id: room.id,
      ts: view.stored.event.originServerTs,
    };
  };

  return route({
    operationId: 'getNotifications',
    method: 'GET',
    path: clientPaths('v3', '/notifications'),
    auth: auth.user,
    rateLimit: perUser('history'),
    query: Type.Object({
      from: Type.Optional(Type.String()),
      limit: Type.Optional(Type.Integer({ minimum: 1 })),
      only: Type.Optional(Type.String()),
    }),
    handler: async ({ requester, query }) => {
      const page = await notifications.list({
        userId: requester.userId,
        before: query.from === undefined ? undefined : positionIn(query.from),
        limit: Math.min(query.limit ?? defaultLimit, maxLimit),
        onlyHighlights: query.only === 'highlight',
      });
      return {
        notifications: await Promise.all(page.notifications.map((one) => shown(requester, one))),
        ...(page.before !== undefined && { next_token: `n1_${page.before}` }),
      };
    },
  });
};
