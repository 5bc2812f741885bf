/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const defaultLimit = 10;
const maxLimit = 50;

export const searchUserDirectory = ({
  auth,
  userDirectory,
}: Pick<ClientApiDeps, 'auth' | 'userDirectory'>) =>
  route({
    operationId: 'searchUserDirectory',
    method: 'POST',
    path: clientPaths('v3', '/user_directory/search'),
    auth: auth.user,
    rateLimit: perUser('search'),
    body: Type.Object({
      search_term: Type.String({ maxLength: 1000 }),
      limit: Type.Optional(Type.Integer({ minimum: 1 })),
    }),
    response: Type.Object({
      limited: Type.Boolean(),
      results: Type.Array(
        Type.Object({
          user_id: Type.String(),
          display_name: Type.Optional(Type.String()),
          avatar_url: Type.Optional(Type.String()),
        }),
      ),
    }),
    handler: async ({ requester, body }) => {
      const limit = Math.min(body.limit ?? defaultLimit, maxLimit);
      const found = await userDirectory.search(requester.userId, body.search_term, limit + 1);
      return {
        limited: found.length > limit,
        results: found.slice(0, limit).map(({ userId, displayName, avatarUrl }) => ({
          user_id: userId,
          ...(displayName !== undefined && { display_name: displayName }),
          ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
        })),
      };
    },
  });
