/** All rules of a kind: not in the specification any more, but still asked for. */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { KindSchema, RulesResponse } from './rule-schemas.ts';

export const getPushRulesOfKind = ({
  auth,
  pushRules,
}: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'getPushRulesOfKind',
    method: 'GET',
    path: clientPaths('v3', '/pushrules/global/{kind}/'),
    auth: auth.user,
    rateLimit: perUser('read'),
    params: Type.Object({ kind: KindSchema }),
    response: RulesResponse,
    handler: async ({ requester, params }) =>
      (await pushRules.of(requester.userId)).ruleset[params.kind],
  });
