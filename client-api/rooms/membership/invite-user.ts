/**
 * The two operations that share a path: inviteUser and inviteBy3PID.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
 */
import { Type } from 'typebox';
import { RoomIdSchema, UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';
import { noIdentityServer, ThirdPartyInvite } from './third-party-invite-schema.ts';

const ById = Type.Object({ user_id: UserIdSchema, reason: Type.Optional(Type.String()) });

/** Whatever has a user id is the other operation, and its user id must be one. */
const ByThirdPartyId = Type.Object({
  ...ThirdPartyInvite.properties,
  user_id: Type.Optional(Type.Never()),
});

export const inviteUser = ({ auth, membership }: Pick<ClientApiDeps, 'auth' | 'membership'>) =>
  route({
    operationId: 'inviteUser',
    method: 'POST',
    path: clientPaths('v3', '/rooms/{roomId}/invite'),
    auth: auth.active,
    rateLimit: perUser('invite'),
    params: Type.Object({ roomId: RoomIdSchema }),
    body: Type.Union([ById, ByThirdPartyId]),
    response: Done,
    handler: async ({ requester, params, body }) => {
      if (body.user_id === undefined) throw noIdentityServer();
      await membership.invite(requester.userId, params.roomId, body.user_id, body.reason);
      return {};
    },
  });
