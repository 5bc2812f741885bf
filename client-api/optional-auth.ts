/** For what the specification lets anybody ask, but tells somebody known more. */
import type { Requester } from '../homeserver/accounts/requester.ts';
import { addressKey } from '../homeserver/http/rate-limits.ts';
import type { Auth } from '../homeserver/http/route.ts';
import { accessTokenOf } from './auth.ts';

/** Whoever has no token is somebody unknown; a wrong one is refused. */
export const optional = (auth: Auth<Requester>): Auth<Requester | undefined> => ({
  name: undefined,
  authenticate: (request) =>
    accessTokenOf(request) === undefined ? undefined : auth.authenticate(request),
  limitKey: (requester, ip) =>
    requester === undefined ? addressKey(ip) : auth.limitKey?.(requester, ip),
});
