/** Synapse's admin API: makes an account for whoever knows the shared secret. */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { SessionReply, sessionReply } from '../session/session-reply.ts';

export const registerWithSharedSecret = ({ accounts }: Pick<ClientApiDeps, 'accounts'>) =>
  route({
    operationId: 'registerWithSharedSecret',
    method: 'POST',
    path: '/_synapse/admin/v1/register',
    rateLimit: perIp('token_check'),
    body: Type.Object({
      nonce: Type.String(),
      username: Type.String(),
      password: Type.String(),
      mac: Type.String(),
      admin: Type.Boolean({ default: false }),
      displayname: Type.Optional(Type.String()),
      user_type: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'] })),
      inhibit_login: Type.Boolean({ default: false }),
    }),
    response: SessionReply,
    handler: async ({ body }) => {
      const { nonce, username, password, mac, admin: isAdmin } = body;
      const userType = body.user_type ?? undefined;
      accounts.sharedSecret.check({ nonce, username, password, isAdmin, userType, mac });
      const account = { username, password, isAdmin, displayName: body.displayname };
      const session = body.inhibit_login ? undefined : {};
      const made = await accounts.registration.registerByOperator(account, session);
      return sessionReply(made.userId, made.session);
    },
  });
