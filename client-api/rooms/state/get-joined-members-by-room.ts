/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members */
import { Type } from 'typebox';
import { RoomIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';

const Member = Type.Object({
  display_name: Type.Optional(Type.String()),
  avatar_url: Type.Optional(Type.String()),
});

export const getJoinedMembersByRoom = ({
  auth,
  roomState,
}: Pick<ClientApiDeps, 'auth' | 'roomState'>) =>
  route({
    operationId: 'getJoinedMembersByRoom',
    method: 'GET',
    path: clientPaths('v3', '/rooms/{roomId}/joined_members'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: Type.Object({ roomId: RoomIdSchema }),
    response: Type.Object({ joined: Type.Record(Type.String(), Member) }),
    handler: async ({ requester, params }) => {
      const members = await roomState.joinedMembers(requester.userId, params.roomId);
      const joined = members.map(({ stored: { event } }) => {
        const { displayname, avatar_url: avatarUrl } = event.content;
        const member = {
          ...(typeof displayname === 'string' && { display_name: displayname }),
          ...(typeof avatarUrl === 'string' && { avatar_url: avatarUrl }),
        };
        return [event.stateKey as string, member] as const;
      });
      return { joined: Object.fromEntries(joined) };
    },
  });
