/**
 * Authentication for tests of routes that are not about it: the access token is the user id, and
 * the device, where one is given, follows after a space, and the word `suspended` or `admin` after
 * another. Who has no token is refused as usual.
 */
import type { Requester } from '../../homeserver/accounts/requester.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { ClientAuth } from '../auth.ts';

const auth: Auth<Requester> = {
  name: 'accessTokenBearer',
  authenticate(request) {
    const token = request.header('authorization')?.replace(/^Bearer /, '');
    if (token === undefined) throw matrixError('M_MISSING_TOKEN', 'Missing access token');
    const [userId, deviceId = 'DEVICE', standing] = token.split(' ');
    return {
      userId: userId as UserId,
      deviceId: deviceId as DeviceId,
      isAdmin: standing === 'admin',
      isGuest: false,
      locked: false,
      suspended: standing === 'suspended',
      appserviceId: undefined,
      rateLimited: false,
    };
  },
};

export const tokenIsUser: ClientAuth = {
  user: auth,
  userOrGuest: auth,
  active: auth,
  activeOrGuest: auth,
  anyToken: auth,
  admin: auth,
};
