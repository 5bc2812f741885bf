/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const uploadCrossSigningSignatures = ({
  auth,
  encryption,
}: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'uploadCrossSigningSignatures',
    method: 'POST',
    path: [
      ...clientPaths('v3', '/keys/signatures/upload'),
      '/_matrix/client/unstable/keys/signatures/upload',
    ],
    auth: auth.user,
    rateLimit: perUser('keys'),
    body: AnyObject,
    response: Type.Object({
      failures: Type.Record(Type.String(), Type.Record(Type.String(), AnyObject)),
    }),
    handler: async ({ requester, body }) => ({
      failures: await encryption.crossSigning.sign(requester.userId, body),
    }),
  });
