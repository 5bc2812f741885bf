/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { findRule } from '../../spec/push-rules/user-rules.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { EnabledSchema, RuleParams } from './rule-schemas.ts';

export const isPushRuleEnabled = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'isPushRuleEnabled',
    method: 'GET',
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}/enabled'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: RuleParams,
    response: EnabledSchema,
    handler: async ({ requester, params }) => {
      const { ruleset } = await pushRules.of(requester.userId);
      return { enabled: findRule(ruleset, params.kind, params.ruleId).enabled };
    },
  });
