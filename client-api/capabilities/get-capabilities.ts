/** https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation */
import { Type } from 'typebox';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { KNOWN_ROOM_VERSIONS, rulesOf } from '../../spec/room-versions.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject } from '../schemas.ts';

export const getCapabilities = ({
  auth,
  defaultRoomVersion,
}: Pick<ClientApiDeps, 'auth' | 'defaultRoomVersion'>) => {
  const available = Object.fromEntries(
    KNOWN_ROOM_VERSIONS.map((version) => [version, rulesOf(version)?.disposition ?? 'unstable']),
  );
  const capabilities = {
    'm.change_password': { enabled: true },
    'm.room_versions': { default: defaultRoomVersion, available },
    'm.profile_fields': { enabled: true },
    'm.set_displayname': { enabled: true },
    'm.set_avatar_url': { enabled: true },
    'm.3pid_changes': { enabled: false },
    'm.get_login_token': { enabled: true },
    'm.forget_forced_upon_leave': { enabled: false },
  };
  const forAdministrators = {
    ...capabilities,
    'm.account_moderation': { suspend: true, lock: true },
  };
  // Guests and the users of application services have no password to change.
  const withoutPassword = { ...capabilities, 'm.change_password': { enabled: false } };
  const capabilitiesOf = ({ isAdmin, isGuest, appserviceId }: Requester) => {
    if (isGuest || appserviceId !== undefined) return withoutPassword;
    return isAdmin ? forAdministrators : capabilities;
  };
  return route({
    operationId: 'getCapabilities',
    method: 'GET',
    path: clientPaths('v3', '/capabilities'),
    auth: auth.userOrGuest,
    rateLimit: perUser('read'),
    response: Type.Object({ capabilities: AnyObject }),
    handler: ({ requester }) => ({
      capabilities: capabilitiesOf(requester),
    }),
  });
};
