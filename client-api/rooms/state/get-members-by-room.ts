/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import { parsePlace } from '../../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { EventTexts } from '../../history/event-texts.ts';
import { clientPaths } from '../../paths.ts';

const MembershipName = Type.Union([
  Type.Literal('join'),
  Type.Literal('invite'),
  Type.Literal('knock'),
  Type.Literal('leave'),
  Type.Literal('ban'),
]);

export const getMembersByRoom = ({
  auth,
  roomState,
  clientEvents,
}: Pick<ClientApiDeps, 'auth' | 'roomState' | 'clientEvents'>) =>
  route({
    operationId: 'getMembersByRoom',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/members'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    params: Type.Object({ roomId: RoomIdSchema }),
    query: Type.Object({
      at: Type.Optional(Type.String()),
      membership: Type.Optional(MembershipName),
      not_membership: Type.Optional(MembershipName),
    }),
    handler: async ({ requester, params, query }) => {
      const [room, members] = await roomState.members(requester.userId, params.roomId, {
        at: query.at === undefined ? undefined : parsePlace(query.at),
        membership: query.membership,
        notMembership: query.not_membership,
      });
      return { chunk: await new EventTexts(clientEvents, room, requester).views(members) };
    },
  });
