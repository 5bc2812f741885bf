/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { deleteRule } from '../../spec/push-rules/user-rules.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { Done } from '../schemas.ts';
import { RuleParams } from './rule-schemas.ts';

export const deletePushRule = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'deletePushRule',
    method: 'DELETE',
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: RuleParams,
    response: Done,
    handler: async ({ requester, params }) => {
      await pushRules.change(requester.userId, (stored) =>
        deleteRule(stored, params.kind, params.ruleId),
      );
      return {};
    },
  });
