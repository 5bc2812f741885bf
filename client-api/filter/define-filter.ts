/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { self } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const defineFilter = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'defineFilter',
    method: 'POST',
    path: clientPaths('v3', '/user/{userId}/filter'),
    auth: self(auth.userOrGuest, 'userId'),
    rateLimit: perUser('general'),
    params: Type.Object({ userId: UserIdSchema }),
    body: AnyObject,
    response: Type.Object({ filter_id: Type.String() }),
    handler: async ({ params: { userId }, body }) => {
      return { filter_id: await accounts.filters.define(userId, body) };
    },
  });
