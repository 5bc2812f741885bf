/** https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport */
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { AnyObject } from '../schemas.ts';

export const getWellknownSupport = ({ wellKnown }: Pick<ClientApiDeps, 'wellKnown'>) =>
  route({
    operationId: 'getWellknownSupport',
    method: 'GET',
    path: '/.well-known/matrix/support',
    rateLimit: perIp('general'),
    response: AnyObject,
    handler: () => {
      const { support } = wellKnown;
      if (support === undefined) throw matrixError('M_NOT_FOUND', 'No contacts are known');
      return support;
    },
  });
