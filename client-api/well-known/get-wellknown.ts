/** https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';

export const getWellknown = ({ wellKnown }: Pick<ClientApiDeps, 'wellKnown'>) =>
  route({
    operationId: 'getWellknown',
    method: 'GET',
    path: '/.well-known/matrix/client',
    rateLimit: perIp('general'),
    response: Type.Object({ 'm.homeserver': Type.Object({ base_url: Type.String() }) }),
    handler: () => {
      const { clientBaseUrl, clientExtra } = wellKnown;
      if (clientBaseUrl === undefined) {
        throw matrixError('M_NOT_FOUND', 'This server does not tell clients where it is');
      }
      return { ...clientExtra, 'm.homeserver': { base_url: clientBaseUrl } };
    },
  });
