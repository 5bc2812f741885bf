/**
 * Locking and suspending accounts: the specification's four operations are two of the same shape.
 * https://spec.matrix.org/v1.19/client-server-api/#account-moderation
 */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import type { User } from '../../homeserver/storage/users.ts';
import { matrixError } from '../../spec/errors.ts';
import { serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

type Deps = Pick<ClientApiDeps, 'auth' | 'accounts' | 'serverName'>;

const FLAGS = [
  { flag: 'suspended', segment: 'suspend', get: 'getAdminSuspendUser', set: 'setAdminSuspendUser' },
  { flag: 'locked', segment: 'lock', get: 'getAdminLockUser', set: 'setAdminLockUser' },
] as const;

/** @throws MatrixError M_INVALID_PARAM of other servers, M_NOT_FOUND, M_FORBIDDEN of administrators */
const accountToModerate = async ({ accounts, serverName }: Deps, userId: UserId): Promise<User> => {
  if (serverNameOf(userId) !== serverName) {
    throw matrixError('M_INVALID_PARAM', 'The user is not of this server');
  }
  const user = await accounts.users.get(userId);
  if (user === undefined || user.deactivatedAtMs !== undefined) {
    throw matrixError('M_NOT_FOUND', 'There is no such user');
  }
  if (user.isAdmin) throw matrixError('M_FORBIDDEN', 'The user is an administrator');
  return user;
};

export const accountModerationRoutes = (deps: Deps): Route[] =>
  FLAGS.flatMap(({ flag, segment, get, set }) => {
    const shared = {
      path: clientPaths('v1', `/admin/${segment}/{userId}`),
      auth: deps.auth.admin,
      params: Type.Object({ userId: UserIdSchema }),
      response: Type.Record(Type.String(), Type.Boolean()),
    };
    return [
      route({
        ...shared,
        operationId: get,
        method: 'GET',
        rateLimit: perUser('read'),
        handler: async ({ params: { userId } }) => {
          const user = await accountToModerate(deps, userId);
          return { [flag]: user[flag] };
        },
      }),
      route({
        ...shared,
        operationId: set,
        method: 'PUT',
        rateLimit: perUser('general'),
        body: Type.Object({ [flag]: Type.Boolean() }),
        handler: async ({ params: { userId }, body }) => {
          await accountToModerate(deps, userId);
          const value = (body as Record<string, boolean>)[flag] === true;
          await deps.accounts.changes.setFlags(userId, { [flag]: value });
          return { [flag]: value };
        },
      }),
    ];
  });
