/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions */
import { Type } from 'typebox';
import { perIp } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';

/** Every version whose clients this server serves: later ones only add to earlier ones. */
const VERSIONS = [
  'r0.6.0',
  'r0.6.1',
  ...Array.from({ length: 19 }, (_, minor) => `v1.${minor + 1}`),
];

/** What clients look for here although the specification has it. */
const UNSTABLE_FEATURES = {
  'uk.tcpip.msc4133.stable': true,
  'uk.half-shot.msc2666.query_mutual_rooms': true,
};

export const getVersions = () =>
  route({
    operationId: 'getVersions',
    method: 'GET',
    path: '/_matrix/client/versions',
    rateLimit: perIp('general'),
    response: Type.Object({
      versions: Type.Array(Type.String()),
      unstable_features: Type.Record(Type.String(), Type.Boolean()),
    }),
    handler: () => ({ versions: VERSIONS, unstable_features: UNSTABLE_FEATURES }),
  });
