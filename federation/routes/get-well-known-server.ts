/** https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';

/** `address` as configured: where other servers find this one; they are not told without. */
export const getWellKnownServer = (address: string | undefined): Route =>
  route({
    operationId: 'getWellKnown',
    method: 'GET',
    path: '/.well-known/matrix/server',
    rateLimit: perIp('general'),
    response: Type.Object({ 'm.server': Type.String() }),
    handler: () => {
      if (address === undefined) {
        throw matrixError('M_NOT_FOUND', 'This server is found by its name alone');
      }
      return { 'm.server': address };
    },
  });
