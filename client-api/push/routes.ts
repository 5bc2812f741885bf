/** The routes of the push module. https://spec.matrix.org/v1.19/client-server-api/#push-notifications */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { deletePushRule } from './delete-push-rule.ts';
import { getNotifications } from './get-notifications.ts';
import { getPushRule } from './get-push-rule.ts';
import { getPushRuleActions } from './get-push-rule-actions.ts';
import { getPushRules } from './get-push-rules.ts';
import { getPushRulesGlobal } from './get-push-rules-global.ts';
import { getPushRulesOfKind } from './get-push-rules-of-kind.ts';
import { isPushRuleEnabled } from './is-push-rule-enabled.ts';
import { setPushRule } from './set-push-rule.ts';
import { setPushRuleActions } from './set-push-rule-actions.ts';
import { setPushRuleEnabled } from './set-push-rule-enabled.ts';

export const pushRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'pushRules' | 'notifications' | 'clientEvents'>,
): Route[] => [
  getPushRules(deps),
  getPushRulesGlobal(deps),
  getPushRulesOfKind(deps),
  getPushRule(deps),
  setPushRule(deps),
  deletePushRule(deps),
  isPushRuleEnabled(deps),
  setPushRuleEnabled(deps),
  getPushRuleActions(deps),
  setPushRuleActions(deps),
  getNotifications(deps),
];
