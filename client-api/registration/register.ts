/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register */
import { Type } from 'typebox';
import type { FirstSession } from '../../homeserver/accounts/registration.ts';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { bearerToken } from '../auth.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData, interactively } from '../interactive.ts';
import { clientPaths } from '../paths.ts';
import { SessionReply, sessionReply } from '../session/session-reply.ts';

export const register = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'register',
    method: 'POST',
    path: clientPaths('v3', '/register'),
    rateLimit: perIp('register'),
    query: Type.Object({
      kind: Type.Union([Type.Literal('user'), Type.Literal('guest')], { default: 'user' }),
    }),
    body: Type.Object({
      auth: Type.Optional(AuthData),
      guest_access_token: Type.Optional(Type.String()),
      type: Type.Optional(Type.String()),
      username: Type.Optional(Type.String()),
      password: Type.Optional(Type.String()),
      device_id: Type.Optional(Type.String()),
      initial_device_display_name: Type.Optional(Type.String()),
      inhibit_login: Type.Optional(Type.Boolean()),
      refresh_token: Type.Optional(Type.Boolean()),
    }),
    response: SessionReply,
    handler: async ({ query, body, headers, ip }) => {
      const { registration, login, passwords, interactiveAuth, credentials } = accounts;
      if (query.kind === 'guest') {
        const guest = await registration.registerGuest(body.initial_device_display_name);
        return sessionReply(guest.userId, guest.session);
      }
      const { username, password } = body;
      const session: FirstSession | undefined =
        body.inhibit_login === true
          ? undefined
          : {
              deviceId: body.device_id,
              displayName: body.initial_device_display_name,
              refreshable: body.refresh_token,
            };

      if (body.type === 'm.login.application_service') {
        if (username === undefined) throw missing('username');
        const token = bearerToken(headers.authorization);
        const made = await registration.registerByAppservice(token, username, session);
        return sessionReply(made.userId, made.session);
      }

      const flows = registration.flows();
      // Said before anybody goes through the stages, but not of a request already answered.
      const isRepeated = async () => interactiveAuth.hasResult(body.auth);
      const guestToken = body.guest_access_token;
      if (guestToken !== undefined && username === undefined) throw missing('username');
      let guest: UserId | undefined;
      if (username !== undefined && !(await isRepeated())) {
        if (guestToken === undefined) await registration.claim(username);
        else guest = await registration.guestOf(guestToken, username);
      }
      if (password !== undefined) passwords.checkNew(password);

      return interactively(
        interactiveAuth,
        // Clients begin with an empty request, so the session is not bound to the rest of it.
        { operation: 'register', ip, flows, auth: body.auth },
        async (passed) => {
          if (password === undefined) throw missing('password');
          const made = await registration.register(
            { username, guest, password, ip },
            passed,
            session,
          );
          return sessionReply(made.userId, made.session);
        },
        async (result) => {
          const userId = (result as JsonObject)['user_id'] as UserId;
          if (session === undefined) return sessionReply(userId, undefined);
          // Who knows the session alone is not logged in by it: the password must still be right.
          const identifier = { kind: 'user', name: userId } as const;
          await credentials.checkPassword({ identifier, password: password ?? '', ip });
          return sessionReply(userId, (await login.open(userId, session)).session);
        },
      );
    },
  });

const missing = (key: string) => matrixError('M_MISSING_PARAM', `'${key}' in the body is missing`);
