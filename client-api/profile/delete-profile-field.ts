/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { assertMayChangeField } from './profile-permission.ts';

export const deleteProfileField = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'deleteProfileField',
    method: 'DELETE',
    path: clientPaths('v3', '/profile/{userId}/{keyName}'),
    auth: self(auth.activeOrGuest, 'userId'),
    rateLimit: perUser('profile'),
    params: Type.Object({ userId: UserIdSchema, keyName: Type.String() }),
    response: Done,
    handler: async ({ requester, params: { userId, keyName } }) => {
      assertMayChangeField(requester, keyName);
      await accounts.profiles.remove(userId, keyName);
      return {};
    },
  });
