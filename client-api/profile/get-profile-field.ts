/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname */
import { Type } from 'typebox';
import { profileField } from '../../homeserver/accounts/profiles.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { optional } from '../optional-auth.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getProfileField = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getProfileField',
    method: 'GET',
    path: clientPaths('v3', '/profile/{userId}/{keyName}'),
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema, keyName: Type.String() }),
    response: AnyObject,
    handler: async ({ params: { userId, keyName }, requester }) => {
      const profile = await accounts.profiles.of(userId, requester?.userId);
      const value = profile && profileField(profile, keyName);
      if (value === undefined) throw matrixError('M_NOT_FOUND', 'The profile has no such field');
      return { [keyName]: value };
    },
  });
