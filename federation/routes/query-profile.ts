/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile */
import { Type } from 'typebox';
import type { ProfileFields, Profiles } from '../../homeserver/accounts/profiles.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { type ServerName, serverNameOf } from '../../spec/identifiers.ts';

export interface QueryProfileDeps {
  readonly auth: Auth<ServerName>;
  readonly serverName: ServerName;
  readonly profiles: Pick<Profiles, 'of'>;
}

export const queryProfile = ({ auth, serverName, profiles }: QueryProfileDeps): Route =>
  route({
    operationId: 'queryProfile',
    method: 'GET',
    path: '/_matrix/federation/v1/query/profile',
    auth,
    rateLimit: perUser('federation'),
    query: Type.Object({ user_id: UserIdSchema, field: Type.Optional(Type.String()) }),
    response: Type.Unsafe<ProfileFields>(Type.Object({})),
    handler: async ({ query }) => {
      const { user_id: userId, field } = query;
      if (serverNameOf(userId) !== serverName) {
        throw matrixError('M_NOT_FOUND', 'The user is not of this server');
      }
      const profile = await profiles.of(userId);
      if (profile === undefined) throw matrixError('M_NOT_FOUND', 'User does not exist');
      if (field === undefined) return profile;
      const value = profile[field];
      return value === undefined ? {} : { [field]: value };
    },
  });
