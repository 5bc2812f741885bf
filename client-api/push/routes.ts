/** The routes of the push module. https://spec.matrix.org/v1.19/client-server-api/#push-notifications */
import type { Route } from '../../homeserver/http/route.ts';
import type { PushRulesRouteDeps } from './deps.ts';
import { deletePushRule, getPushRule, setPushRule } from './push-rule.ts';
import { getPushRuleActions, setPushRuleActions } from './push-rule-actions.ts';
import { isPushRuleEnabled, setPushRuleEnabled } from './push-rule-enabled.ts';
import { getPushRules, getPushRulesGlobal, getPushRulesOfKind } from './rulesets.ts';

export const pushRoutes = (deps: PushRulesRouteDeps): Route[] => [
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
];
