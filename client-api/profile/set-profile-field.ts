/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';
import { assertMayChangeField } from './profile-permission.ts';

export const setProfileField = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'setProfileField',
    method: 'PUT',
    path: clientPaths('v3', '/profile/{userId}/{keyName}'),
    auth: self(auth.activeOrGuest, 'userId'),
    rateLimit: perUser('profile'),
    params: Type.Object({ userId: UserIdSchema, keyName: Type.String() }),
    body: AnyObject,
    response: Done,
    handler: async ({ requester, params: { userId, keyName }, body }) => {
      assertMayChangeField(requester, keyName);
      const value = Object.hasOwn(body, keyName) ? body[keyName] : undefined;
      if (value === undefined) {
        throw matrixError('M_MISSING_PARAM', `'${keyName}' in the body is missing`);
      }
      await accounts.profiles.set(userId, keyName, value);
      return {};
    },
  });
