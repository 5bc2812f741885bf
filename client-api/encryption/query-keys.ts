/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isUserId, type UserId } from '../../spec/identifiers.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

const ByUser = Type.Record(Type.String(), AnyObject);
const MAX_USERS = 10_000;
/** Clients ask for so many in one request. */
const USERS_PER_COST = 250;

export const queryKeys = ({ auth, encryption }: Pick<ClientApiDeps, 'auth' | 'encryption'>) =>
  route({
    operationId: 'queryKeys',
    method: 'POST',
    path: clientPaths('v3', '/keys/query'),
    auth: auth.userOrGuest,
    rateLimit: perUser('keys'),
    rateCost: ({ device_keys: wanted }) => Math.floor(Object.keys(wanted).length / USERS_PER_COST),
    body: Type.Object({
      timeout: Type.Optional(Type.Integer({ minimum: 0 })),
      device_keys: Type.Record(Type.String(), Type.Array(Type.String()), {
        maxProperties: MAX_USERS,
      }),
    }),
    response: Type.Object({
      device_keys: ByUser,
      master_keys: ByUser,
      self_signing_keys: ByUser,
      user_signing_keys: ByUser,
      failures: ByUser,
    }),
    handler: ({ requester, body }) =>
      encryption.keyQueries.query(requester.userId, wantedDevices(body.device_keys), body.timeout),
  });

/** @throws MatrixError M_INVALID_PARAM */
export const wantedDevices = (deviceKeys: Record<string, string[]>): Map<UserId, string[]> => {
  const wanted = new Map<UserId, string[]>();
  for (const [userId, deviceIds] of Object.entries(deviceKeys)) {
    if (!isUserId(userId)) throw matrixError('M_INVALID_PARAM', 'Keys are asked for by user id');
    wanted.set(userId, deviceIds);
  }
  return wanted;
};
