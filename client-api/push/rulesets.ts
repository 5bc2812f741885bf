/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules */
import { Type } from 'typebox';
import { route } from '../../homeserver/http/route.ts';
import type { PushRulesRouteDeps } from './deps.ts';
import { KindSchema, RulesetResponse, RulesResponse } from './rule-schemas.ts';

export const getPushRules = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'getPushRules',
    method: 'GET',
    path: ['/_matrix/client/v3/pushrules/', '/_matrix/client/r0/pushrules/'],
    auth: auth.user,
    response: Type.Object({ global: RulesetResponse }),
    handler: async ({ requester }) => ({ global: (await pushRules.of(requester.userId)).ruleset }),
  });

export const getPushRulesGlobal = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'getPushRulesGlobal',
    method: 'GET',
    path: ['/_matrix/client/v3/pushrules/global/', '/_matrix/client/r0/pushrules/global/'],
    auth: auth.user,
    response: RulesetResponse,
    handler: async ({ requester }) => (await pushRules.of(requester.userId)).ruleset,
  });

/** Not in the specification any more, but still asked for. */
export const getPushRulesOfKind = ({ auth, pushRules }: PushRulesRouteDeps) =>
  route({
    operationId: 'getPushRulesOfKind',
    method: 'GET',
    path: [
      '/_matrix/client/v3/pushrules/global/{kind}/',
      '/_matrix/client/r0/pushrules/global/{kind}/',
    ],
    auth: auth.user,
    params: Type.Object({ kind: KindSchema }),
    response: RulesResponse,
    handler: async ({ requester, params }) =>
      (await pushRules.of(requester.userId)).ruleset[params.kind],
  });
