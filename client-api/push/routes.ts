/** The routes of the push module. https://spec.matrix.org/v1.19/client-server-api/#push-notifications */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { getNotifications } from './get-notifications.ts';
import { pushRuleRoutes } from './rules.ts';

export const pushRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'pushRules' | 'notifications' | 'clientEvents'>,
): Route[] => [...pushRuleRoutes(deps), getNotifications(deps)];
