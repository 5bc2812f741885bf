/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { optional } from '../optional-auth.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getUserProfile = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getUserProfile',
    method: 'GET',
    path: clientPaths('v3', '/profile/{userId}'),
    auth: optional(auth.userOrGuest),
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema }),
    response: AnyObject,
    handler: async ({ params, requester }) => {
      const profile = await accounts.profiles.of(params.userId, requester?.userId);
      if (profile === undefined) throw matrixError('M_NOT_FOUND', 'There is no such user');
      return profile;
    },
  });
