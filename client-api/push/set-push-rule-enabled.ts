/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { changeRule } from '../../spec/push-rules/user-rules.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { EnabledSchema, RuleParams } from './rule-schemas.ts';

export const setPushRuleEnabled = ({
  auth,
  pushRules,
}: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'setPushRuleEnabled',
    method: 'PUT',
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}/enabled'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: RuleParams,
    body: EnabledSchema,
    response: Done,
    handler: async ({ requester, params, body }) => {
      await pushRules.change(requester.userId, (stored) =>
        changeRule(stored, params.kind, params.ruleId, { enabled: body.enabled }),
      );
      return {};
    },
  });
