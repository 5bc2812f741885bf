/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { parseSyncToken } from '../../homeserver/sync/tokens.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

export const getKeysChanges = ({
  auth,
  encryption,
  log,
}: Pick<ClientApiDeps, 'auth' | 'encryption' | 'log'>) =>
  route({
    operationId: 'getKeysChanges',
    method: 'GET',
    path: clientPaths('v3', '/keys/changes'),
    auth: auth.userOrGuest,
    rateLimit: perUser('keys'),
    query: Type.Object({ from: Type.String(), to: Type.String() }),
    response: Type.Object({ changed: Type.Array(UserIdSchema), left: Type.Array(UserIdSchema) }),
    handler: async ({ requester, query }) => {
      const from = parseSyncToken(query.from).position;
      // A hint, as the specification has it: what has changed since `to` is no secret.
      parseSyncToken(query.to);
      const news = await encryption.deviceLists.newsFor(requester.userId, from, log.position);
      return { changed: [...news.changed], left: [...news.left] };
    },
  });
