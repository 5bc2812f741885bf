/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import { putRule } from '../../spec/push-rules/user-rules.ts';
import { parseUserRule } from '../../spec/push-rules/validate-rule.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';
import { RuleParams } from './rule-schemas.ts';

export const setPushRule = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'setPushRule',
    method: 'PUT',
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}'),
    auth: auth.user,
    rateLimit: perUser('general'),
    params: RuleParams,
    query: Type.Object({
      before: Type.Optional(Type.String()),
      after: Type.Optional(Type.String()),
    }),
    body: AnyObject,
    response: Done,
    handler: async ({ requester, params, query, body }) => {
      const rule = parseUserRule(params.kind, params.ruleId, body);
      await pushRules.change(requester.userId, (stored) =>
        putRule(stored, params.kind, rule, query),
      );
      return {};
    },
  });
