/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions */
import { Type } from 'typebox';
import { route } from '../../homeserver/http/route.ts';
import { changeRule, findRule } from '../../spec/push-rules/user-rules.ts';
import { parseActions } from '../../spec/push-rules/validate-rule.ts';
import type { PushRulesRouteDeps } from './deps.ts';
import { ActionsBody, ActionsResponse, RuleParams } from './rule-schemas.ts';

const path = [
  '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions',
  '/_matrix/client/r0/pushrules/global/{kind}/{ruleId}/actions',
];

export const getPushRuleActions = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'getPushRuleActions',
    method: 'GET',
    path,
    auth: auth.user,
    params: RuleParams,
    response: ActionsResponse,
    handler: async ({ requester, params }) => {
      const { ruleset } = await pushRules.of(requester.userId);
      return { actions: findRule(ruleset, params.kind, params.ruleId).actions };
    },
  });

export const setPushRuleActions = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'setPushRuleActions',
    method: 'PUT',
    path,
    auth: auth.user,
    params: RuleParams,
    body: ActionsBody,
    response: Type.Object({}),
    handler: async ({ requester, params, body }) => {
      const actions = parseActions(body.actions);
      await pushRules.change(requester.userId, (stored) =>
        changeRule(stored, params.kind, params.ruleId, { actions }),
      );
      return {};
    },
  });
