/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { deleteRule, findRule, putRule } from '../../spec/push-rules/user-rules.ts';
import { parseUserRule } from '../../spec/push-rules/validate-rule.ts';
import type { PushRulesRouteDeps } from './deps.ts';
import { RuleBody, RuleParams, RuleResponse } from './rule-schemas.ts';

const path = [
  '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}',
  '/_matrix/client/r0/pushrules/global/{kind}/{ruleId}',
];

export const getPushRule = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'getPushRule',
    method: 'GET',
    path,
    auth: auth.user,
    params: RuleParams,
    response: RuleResponse,
    handler: async ({ requester, params }) => {
      const { ruleset } = await pushRules.of(requester.userId);
      return findRule(ruleset, params.kind, params.ruleId);
    },
  });

export const setPushRule = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'setPushRule',
    method: 'PUT',
    path,
    auth: auth.user,
    rateLimit: perUser('push_rules'),
    params: RuleParams,
    query: Type.Object({
      before: Type.Optional(Type.String()),
      after: Type.Optional(Type.String()),
    }),
    body: RuleBody,
    response: Type.Object({}),
    handler: async ({ requester, params, query, body }) => {
      const rule = parseUserRule(params.kind, params.ruleId, body);
      await pushRules.change(requester.userId, (stored) =>
        putRule(stored, params.kind, rule, query),
      );
      return {};
    },
  });

export const deletePushRule = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'deletePushRule',
    method: 'DELETE',
    path,
    auth: auth.user,
    params: RuleParams,
    response: Type.Object({}),
    handler: async ({ requester, params }) => {
      await pushRules.change(requester.userId, (stored) =>
        deleteRule(stored, params.kind, params.ruleId),
      );
      return {};
    },
  });
