/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login */
import { Type } from 'typebox';
import { identifierOf } from '../../homeserver/accounts/credentials.ts';
import type { LoggedIn, LoginSession } from '../../homeserver/accounts/login.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { bearerToken } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';
import { SessionReply, sessionReply } from './session-reply.ts';

const required = (value: string | undefined, key: string): string => {
  if (value === undefined) throw matrixError('M_MISSING_PARAM', `'${key}' in the body is missing`);
  return value;
};

export const login = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'login',
    method: 'POST',
    path: clientPaths('v3', '/login'),
    rateLimit: perIp('general'),
    body: Type.Object({
      type: Type.String(),
      identifier: Type.Optional(AnyObject),
      user: Type.Optional(Type.String()),
      medium: Type.Optional(Type.String()),
      address: Type.Optional(Type.String()),
      password: Type.Optional(Type.String()),
      token: Type.Optional(Type.String()),
      device_id: Type.Optional(Type.String()),
      initial_device_display_name: Type.Optional(Type.String()),
      refresh_token: Type.Optional(Type.Boolean()),
    }),
    response: SessionReply,
    handler: async ({ body, headers, ip }) => {
      const session: LoginSession = {
        deviceId: body.device_id,
        displayName: body.initial_device_display_name,
        refreshable: body.refresh_token,
      };
      const authenticate = async (): Promise<LoggedIn> => {
        switch (body.type) {
          case 'm.login.password': {
            const password = required(body.password, 'password');
            const proof = { identifier: identifierOf(body), password, ip };
            return accounts.login.withPassword(proof, session);
          }
          case 'm.login.token':
            return accounts.login.withToken(required(body.token, 'token'), session);
          case 'm.login.application_service': {
            const token = bearerToken(headers.authorization);
            return accounts.login.asAppservice(token, identifierOf(body), session);
          }
          default:
            throw matrixError('M_UNKNOWN', 'Unknown login type', {}, { status: 400 });
        }
      };
      const loggedIn = await authenticate();
      return sessionReply(loggedIn.userId, loggedIn.session);
    },
  });
