/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AuthData, interactively } from '../interactive.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

export const uploadCrossSigningKeys = ({
  auth,
  accounts,
  encryption: { crossSigning },
  database,
}: Pick<ClientApiDeps, 'auth' | 'accounts' | 'encryption' | 'database'>) =>
  route({
    operationId: 'uploadCrossSigningKeys',
    method: 'POST',
    path: [
      ...clientPaths('v3', '/keys/device_signing/upload'),
      '/_matrix/client/unstable/keys/device_signing/upload',
    ],
    auth: auth.user,
    rateLimit: perUser('reauthenticate'),
    body: Type.Object({
      master_key: Type.Optional(AnyObject),
      self_signing_key: Type.Optional(AnyObject),
      user_signing_key: Type.Optional(AnyObject),
      auth: Type.Optional(AuthData),
    }),
    response: Done,
    handler: async ({ ip, requester: { userId, appserviceId }, body }) => {
      const { auth: proof, ...keys } = body;
      const checked = await crossSigning.check(userId, keys);
      if (!checked.needsProof || appserviceId !== undefined) {
        await crossSigning.store(userId, checked);
        return {};
      }
      const flows = await accounts.credentials.reauthenticationFlows(userId);
      const call = {
        operation: 'uploadCrossSigningKeys',
        userId,
        ip,
        flows,
        auth: proof,
        rateLimit: perUser('reauthenticate'),
        boundTo: keys,
      };
      return interactively(accounts.interactiveAuth, call, async (passed) => {
        await database.transaction((tx) => passed.finish(tx));
        await crossSigning.store(userId, checked);
        return {};
      });
    },
  });
