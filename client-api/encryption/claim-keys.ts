/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isUserId } from '../../spec/identifiers.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

const MAX_CLAIMS = 10_000;

const DEVICES_PER_COST = 250;

const countOfDevices = (wanted: Record<string, Record<string, string>>): number =>
  Object.values(wanted).reduce((count, devices) => count + Object.keys(devices).length, 0);

export const claimKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'claimKeys',
    method: 'POST',
    path: clientPaths('v3', '/keys/claim'),
    auth: auth.userOrGuest,
    rateLimit: perUser('keys'),
    rateCost: ({ one_time_keys: wanted }) => Math.floor(countOfDevices(wanted) / DEVICES_PER_COST),
    body: Type.Object({
      timeout: Type.Optional(Type.Integer({ minimum: 0 })),
      one_time_keys: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
    }),
    response: Type.Object({
      one_time_keys: Type.Record(Type.String(), Type.Record(Type.String(), AnyObject)),
      failures: Type.Record(Type.String(), AnyObject),
    }),
    handler: ({ requester, body }) => {
      const claims = Object.entries(body.one_time_keys).flatMap(([userId, devices]) => {
        if (!isUserId(userId)) throw matrixError('M_INVALID_PARAM', 'Keys are claimed by user id');
        return Object.entries(devices).map(([deviceId, algorithm]) => ({
          userId,
          deviceId,
          algorithm,
        }));
      });
      if (claims.length > MAX_CLAIMS) {
        throw matrixError('M_INVALID_PARAM', `At most ${MAX_CLAIMS} keys can be claimed at once`);
      }
      return encryption.keyQueries.claim(requester.userId, claims, body.timeout);
    },
  });
