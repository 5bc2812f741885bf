/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname */
import { Type } from 'typebox';
import { profileField } from '../../homeserver/accounts/profiles.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getProfileField = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'getProfileField',
    method: 'GET',
    path: clientPaths('v3', '/profile/{userId}/{keyName}'),
    rateLimit: perIp('read'),
    params: Type.Object({ userId: UserIdSchema, keyName: Type.String() }),
    response: AnyObject,
    handler: async ({ params: { userId, keyName } }) => {
      const profile = await accounts.profiles.of(userId, keyName);
      const value = profile && profileField(profile, keyName);
      if (value === undefined) throw matrixError('M_NOT_FOUND', 'The profile has no such field');
      return { [keyName]: value };
    },
  });
