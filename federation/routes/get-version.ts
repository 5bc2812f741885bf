/** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';

export interface Implementation {
  readonly name: string;
  readonly version: string;
}

export const getVersion = ({ name, version }: Implementation): Route =>
  route({
    operationId: 'getVersion',
    method: 'GET',
    path: '/_matrix/federation/v1/version',
    rateLimit: perIp('federation'),
    response: Type.Object({
      server: Type.Object({ name: Type.String(), version: Type.String() }),
    }),
    handler: () => ({ server: { name, version } }),
  });
