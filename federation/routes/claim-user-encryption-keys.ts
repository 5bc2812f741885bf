/** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim */
import { Type } from 'typebox';
import { claimedKeys } from '../../homeserver/encryption/key-queries.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { localUser, type UserKeysDeps } from './query-user-encryption-keys.ts';

export const claimUserEncryptionKeys = ({ auth, serverName, encryption }: UserKeysDeps): Route =>
  route({
    operationId: 'claimUserEncryptionKeys',
    method: 'POST',
    path: '/_matrix/federation/v1/user/keys/claim',
    auth,
    rateLimit: perUser('federation'),
    body: Type.Object({
      one_time_keys: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
    }),
    response: Type.Object({
      one_time_keys: Type.Record(Type.String(), Type.Unsafe<object>(Type.Object({}))),
    }),
    handler: async ({ requester: server, body }) => {
      const claims = Object.entries(body.one_time_keys).flatMap(([userId, devices]) =>
        Object.entries(devices).map(([deviceId, algorithm]) => ({
          userId: localUser(userId, serverName),
          deviceId,
          algorithm,
        })),
      );
      return { one_time_keys: claimedKeys(await encryption.deviceKeys.claim({ server }, claims)) };
    },
  });
