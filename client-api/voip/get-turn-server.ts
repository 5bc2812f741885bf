/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver */
import { turnCredentials } from '../../homeserver/accounts/turn-credentials.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

/** Without a TURN server the answer is empty, which clients take for "none". */
export const getTurnServer = ({
  auth,
  turn,
  clock,
}: Pick<ClientApiDeps, 'auth' | 'turn' | 'clock'>) =>
  route({
    operationId: 'getTurnServer',
    method: 'GET',
    path: clientPaths('v3', '/voip/turnServer'),
    auth: auth.userOrGuest,
    rateLimit: perUser('general'),
    handler: ({ requester }) =>
      turn === undefined ? {} : turnCredentials(turn, requester.userId, clock),
  });
