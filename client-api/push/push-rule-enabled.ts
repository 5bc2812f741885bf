/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
import { Type } from 'typebox';
import { route } from '../../homeserver/http/route.ts';
import { changeRule, findRule } from '../../spec/push-rules/user-rules.ts';
import type { PushRulesRouteDeps } from './deps.ts';
import { RuleParams } from './rule-schemas.ts';

const path = [
  '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled',
  '/_matrix/client/r0/pushrules/global/{kind}/{ruleId}/enabled',
];
const Enabled = Type.Object({ enabled: Type.Boolean() });

export const isPushRuleEnabled = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'isPushRuleEnabled',
    method: 'GET',
    path,
    auth: auth.user,
    params: RuleParams,
    response: Enabled,
    handler: async ({ requester, params }) => {
      const { ruleset } = await pushRules.of(requester.userId);
      return { enabled: findRule(ruleset, params.kind, params.ruleId).enabled };
    },
  });

export const setPushRuleEnabled = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'setPushRuleEnabled',
    method: 'PUT',
    path,
    auth: auth.user,
    params: RuleParams,
    body: Enabled,
    response: Type.Object({}),
    handler: async ({ requester, params, body }) => {
      await pushRules.change(requester.userId, (stored) =>
        changeRule(stored, params.kind, params.ruleId, { enabled: body.enabled }),
      );
      return {};
    },
  });
