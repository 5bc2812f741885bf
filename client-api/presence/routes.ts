/** https://spec.matrix.org/v1.19/client-server-api/#presence */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { getPresence } from './get-presence.ts';
import { setPresence } from './set-presence.ts';

export const presenceRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'presence' | 'clock'>,
): Route[] => [getPresence(deps), setPresence(deps)];
