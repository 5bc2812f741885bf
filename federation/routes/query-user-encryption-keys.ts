/** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery */
import { Type } from 'typebox';
import type { Encryption } from '../../homeserver/encryption/create-encryption.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Auth, type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import { isUserId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';

export interface UserKeysDeps {
  readonly auth: Auth<ServerName>;
  readonly serverName: ServerName;
  readonly encryption: Pick<Encryption, 'directory' | 'deviceKeys'>;
}

const ByUser = Type.Record(Type.String(), Type.Unsafe<object>(Type.Object({})));

export const queryUserEncryptionKeys = ({ auth, serverName, encryption }: UserKeysDeps): Route =>
  route({
    operationId: 'queryUserEncryptionKeys',
    method: 'POST',
    path: '/_matrix/federation/v1/user/keys/query',
    auth,
    rateLimit: perUser('federation'),
    body: Type.Object({
      device_keys: Type.Record(Type.String(), Type.Array(Type.String())),
    }),
    response: Type.Object({ device_keys: ByUser, master_keys: ByUser, self_signing_keys: ByUser }),
    handler: async ({ body }) => {
      const wanted = new Map(
        Object.entries(body.device_keys).map(([userId, ids]) => [
          localUser(userId, serverName),
          ids,
        ]),
      );
      const answer = await encryption.directory.forServer(wanted);
      const { device_keys, master_keys, self_signing_keys } = answer;
      return { device_keys, master_keys, self_signing_keys };
    },
  });

/** @throws MatrixError M_INVALID_PARAM */
export const localUser = (userId: string, serverName: ServerName): UserId => {
  if (!isUserId(userId) || serverNameOf(userId) !== serverName) {
    throw matrixError('M_INVALID_PARAM', 'These are not users of this server');
  }
  return userId;
};
