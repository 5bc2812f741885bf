/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal */
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { RulesetResponse } from './rule-schemas.ts';

export const getPushRulesGlobal = ({
  auth,
  pushRules,
}: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'getPushRulesGlobal',
    method: 'GET',
    path: clientPaths('v3', '/pushrules/global/'),
    auth: auth.user,
    rateLimit: perUser('read'),
    response: RulesetResponse,
    handler: async ({ requester }) => (await pushRules.of(requester.userId)).ruleset,
  });
