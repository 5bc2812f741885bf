/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { changeRule } from '../../spec/push-rules/user-rules.ts';
import { parseActions } from '../../spec/push-rules/validate-rule.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { ActionsBody, RuleParams } from './rule-schemas.ts';

export const setPushRuleActions = ({
  auth,
  pushRules,
}: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'setPushRuleActions',
    method: 'PUT',
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}/actions'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: RuleParams,
    body: ActionsBody,
    response: Done,
    handler: async ({ requester, params, body }) => {
      const actions = parseActions(body.actions);
      await pushRules.change(requester.userId, (stored) =>
        changeRule(stored, params.kind, params.ruleId, { actions }),
      );
      return {};
    },
  });
