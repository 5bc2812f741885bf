/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid */
import { Type } from 'typebox';
import { UserIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { Device } from '../../homeserver/storage/devices.ts';
import { matrixError } from '../../spec/errors.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';

const Connection = Type.Object({
  ip: Type.Optional(Type.String()),
  last_seen: Type.Optional(Type.Integer()),
});

/** Only the newest connection of a device is kept. */
const deviceOf = ({ deviceId, lastSeenIp: ip, lastSeenMs }: Device) => [
  deviceId,
  {
    sessions: [
      {
        connections:
          lastSeenMs === undefined
            ? []
            : [{ last_seen: lastSeenMs, ...(ip === undefined ? {} : { ip }) }],
      },
    ],
  },
];

export const getWhoIs = ({ auth, accounts }: Pick<ClientApiDeps, 'auth' | 'accounts'>) =>
  route({
    operationId: 'getWhoIs',
    method: 'GET',
    path: clientPaths('v3', '/admin/whois/{userId}'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: Type.Object({ userId: UserIdSchema }),
    response: Type.Object({
      user_id: UserIdSchema,
      devices: Type.Record(
        Type.String(),
        Type.Object({
          sessions: Type.Array(Type.Object({ connections: Type.Array(Connection) })),
        }),
      ),
    }),
    handler: async ({ requester, params: { userId } }) => {
      if (userId !== requester.userId && !requester.isAdmin) {
        throw matrixError('M_FORBIDDEN', 'You are not an administrator of this server');
      }
      if ((await accounts.users.get(userId)) === undefined) {
        throw matrixError('M_NOT_FOUND', 'There is no such user');
      }
      const devices = await accounts.devices.list(userId);
      return { user_id: userId, devices: Object.fromEntries(devices.map(deviceOf)) };
    },
  });
