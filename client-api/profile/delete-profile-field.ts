/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { assertMayChangeProfile } from './profile-permission.ts';

export const deleteProfileField = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'deleteProfileField',
    method: 'DELETE',
    path: clientPaths('v3', '/profile/{userId}/{keyName}'),
    auth: auth.userOrGuest,
    rateLimit: perUser('profile'),
    params: Type.Object({ userId: UserIdSchema, keyName: Type.String() }),
    response: Done,
    handler: async ({ requester, params: { userId, keyName } }) => {
      assertMayChangeProfile(requester, userId, keyName);
      await accounts.profiles.remove(userId, keyName);
      return {};
    },
  });
