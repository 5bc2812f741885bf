/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo */
import { Type } from 'typebox';
import type { OpenIdTokens } from '../../homeserver/accounts/openid-tokens.ts';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';

/** Asked by third parties, which are no servers and sign nothing. */
export const exchangeOpenIdToken = (openIdTokens: Pick<OpenIdTokens, 'userOf'>): Route =>
  route({
    operationId: 'exchangeOpenIdToken',
    method: 'GET',
    path: '/_matrix/federation/v1/openid/userinfo',
    rateLimit: perIp('federation'),
    query: Type.Object({ access_token: Type.Optional(Type.String()) }),
    response: Type.Object({ sub: UserIdSchema }),
    handler: async ({ query }) => {
      const { access_token: token } = query;
      if (token === undefined) throw matrixError('M_MISSING_TOKEN', 'No access token');
      const userId = await openIdTokens.userOf(token);
      if (userId === undefined) {
        throw matrixError('M_UNKNOWN_TOKEN', 'Access token unknown or expired');
      }
      return { sub: userId };
    },
  });
