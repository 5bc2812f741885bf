/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport */
import { Type } from 'typebox';
import { UserIdSchema } from '../../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../../homeserver/http/rate-limits.ts';
import { route } from '../../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../../deps.ts';
import { clientPaths } from '../../paths.ts';
import { Done } from '../../schemas.ts';

export const reportUser = ({ auth, reports }: Pick<ClientApiDeps, 'auth' | 'reports'>) =>
  route({
    operationId: 'reportUser',
    method: 'POST',
    path: clientPaths('v3', '/users/{userId}/report'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: Type.Object({ userId: UserIdSchema }),
    body: Type.Object({ reason: Type.String() }),
    response: Done,
    handler: async ({ requester, params, body }) => {
      await reports.ofUser(requester.userId, params.userId, body.reason);
      return {};
    },
  });
