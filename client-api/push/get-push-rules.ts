/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { RulesetResponse } from './rule-schemas.ts';

export const getPushRules = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>) =>
  route({
    operationId: 'getPushRules',
    method: 'GET',
    path: clientPaths('v3', '/pushrules/'),
    auth: auth.user,
    rateLimit: perUser('read'),
    response: Type.Object({ global: RulesetResponse }),
    handler: async ({ requester }) => ({ global: (await pushRules.of(requester.userId)).ruleset }),
  });
