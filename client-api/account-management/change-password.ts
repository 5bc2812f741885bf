/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData, interactively } from '../interactive.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';

export const changePassword = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'changePassword',
    method: 'POST',
    path: clientPaths('v3', '/account/password'),
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    body: Type.Object({
      new_password: Type.String(),
      logout_devices: Type.Boolean({ default: true }),
      auth: Type.Optional(AuthData),
    }),
    response: Done,
    handler: async ({ ip, requester: { userId, deviceId }, body }) => {
      accounts.passwords.checkNew(body.new_password);
      return interactively(
        accounts.interactiveAuth,
        {
          operation: 'changePassword',
          userId,
          ip,
          flows: await accounts.credentials.reauthenticationFlows(userId),
          auth: body.auth,
        },
        async (passed) => {
          await accounts.changes.setPassword(userId, body.new_password, {
            logoutDevices: body.logout_devices,
            keepDeviceId: deviceId,
            passed,
            ip,
          });
          return {};
        },
      );
    },
  });
