/**
 * Push rules: all of them, those of a kind, and one with its two switches.
 * https://spec.matrix.org/v1.19/client-server-api/#push-rules-api
 */
import { Type } from 'typebox';
import { perUser } from '../../homeserver/http/rate-limits.ts';
import { type Route, route } from '../../homeserver/http/route.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import {
  PUSH_RULE_KINDS,
  type PushRule,
  type PushRuleKind,
  type PushRuleset,
} from '../../spec/push-rules/push-rule.ts';
import { changeRule, deleteRule, findRule, putRule } from '../../spec/push-rules/user-rules.ts';
import { parseActions, parseUserRule } from '../../spec/push-rules/validate-rule.ts';
import type { ClientApiDeps } from '../deps.ts';
import { clientPaths } from '../paths.ts';
import { AnyObject, Done } from '../schemas.ts';

const ActionsSchema = Type.Array(Type.Union([Type.String(), Type.Object({})]));
const RuleSchema = Type.Unsafe<PushRule>(
  Type.Object({
    rule_id: Type.String(),
    default: Type.Boolean(),
    enabled: Type.Boolean(),
    actions: ActionsSchema,
    conditions: Type.Optional(Type.Array(Type.Object({ kind: Type.String() }))),
    pattern: Type.Optional(Type.String()),
  }),
);
const RulesSchema = Type.Array(RuleSchema);
const Ruleset = Type.Unsafe<PushRuleset>(
  Type.Object({
    override: RulesSchema,
    content: RulesSchema,
    room: RulesSchema,
    sender: RulesSchema,
    underride: RulesSchema,
  }),
);
const Enabled = Type.Object({ enabled: Type.Boolean() });
const KindParams = Type.Object({ kind: Type.String() });
const RuleParams = Type.Object({ kind: Type.String(), ruleId: Type.String() });

const isKind = (text: string): text is PushRuleKind =>
  (PUSH_RULE_KINDS as readonly string[]).includes(text);

/** Clients ask for kinds of proposals to see whether a server knows them. @throws M_NOT_FOUND */
const kindOf = ({ kind }: { readonly kind: string }): PushRuleKind => {
  if (isKind(kind)) return kind;
  throw matrixError('M_NOT_FOUND', 'There is no such kind of push rule');
};

/** All rules, in the two shapes the specification has, and those of a kind, still asked for. */
const readingRoutes = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>): Route[] => {
  const common = { method: 'GET', auth: auth.user, rateLimit: perUser('read') } as const;
  return [
    route({
      ...common,
      operationId: 'getPushRules',
      path: clientPaths('v3', '/pushrules/'),
      response: Type.Object({ global: Ruleset }),
      handler: async ({ requester }) => ({
        global: (await pushRules.of(requester.userId)).ruleset,
      }),
    }),
    route({
      ...common,
      operationId: 'getPushRulesGlobal',
      path: clientPaths('v3', '/pushrules/global/'),
      response: Ruleset,
      handler: async ({ requester }) => (await pushRules.of(requester.userId)).ruleset,
    }),
    route({
      ...common,
      operationId: 'getPushRulesOfKind',
      path: clientPaths('v3', '/pushrules/global/{kind}/'),
      params: KindParams,
      response: Type.Unsafe<readonly PushRule[]>(RulesSchema),
      handler: async ({ requester, params }) =>
        (await pushRules.of(requester.userId)).ruleset[kindOf(params)],
    }),
  ];
};

/** One rule, whole. */
const ruleRoutes = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>): Route[] => {
  const common = {
    path: clientPaths('v3', '/pushrules/global/{kind}/{ruleId}'),
    auth: auth.user,
    params: RuleParams,
  };
  return [
    route({
      ...common,
      operationId: 'getPushRule',
      method: 'GET',
      rateLimit: perUser('read'),
      response: RuleSchema,
      handler: async ({ requester: { userId }, params }) =>
        findRule((await pushRules.of(userId)).ruleset, kindOf(params), params.ruleId),
    }),
    route({
      ...common,
      operationId: 'setPushRule',
      method: 'PUT',
      rateLimit: perUser('general'),
      query: Type.Object({
        before: Type.Optional(Type.String()),
        after: Type.Optional(Type.String()),
      }),
      body: AnyObject,
      response: Done,
      handler: async ({ requester: { userId }, params: { kind, ruleId }, query, body }) => {
        if (!isKind(kind)) {
          throw matrixError('M_INVALID_PARAM', `${kind} is no kind of push rule`);
        }
        const rule = parseUserRule(kind, ruleId, body);
        await pushRules.change(userId, (stored) => putRule(stored, kind, rule, query));
        return {};
      },
    }),
    route({
      ...common,
      operationId: 'deletePushRule',
      method: 'DELETE',
      rateLimit: perUser('general'),
      response: Done,
      handler: async ({ requester: { userId }, params }) => {
        const kind = kindOf(params);
        await pushRules.change(userId, (stored) => deleteRule(stored, kind, params.ruleId));
        return {};
      },
    }),
  ];
};

/** The parts of a rule that can be read and set alone, of the server's own rules too. */
const partRoutes = ({ auth, pushRules }: Pick<ClientApiDeps, 'auth' | 'pushRules'>): Route[] => {
  const ruleOf = async (userId: Parameters<typeof pushRules.of>[0], params: RuleOf) =>
    findRule((await pushRules.of(userId)).ruleset, kindOf(params), params.ruleId);
  const change = async (
    userId: Parameters<typeof pushRules.of>[0],
    params: RuleOf,
    changes: Parameters<typeof changeRule>[3],
  ) => {
    const kind = kindOf(params);
    await pushRules.change(userId, (stored) => changeRule(stored, kind, params.ruleId, changes));
    return {};
  };
  const part = (name: string) => ({
    path: clientPaths('v3', `/pushrules/global/{kind}/{ruleId}/${name}`),
    auth: auth.user,
    params: RuleParams,
  });
  return [
    route({
      ...part('enabled'),
      operationId: 'isPushRuleEnabled',
      method: 'GET',
      rateLimit: perUser('read'),
      response: Enabled,
      handler: async ({ requester, params }) => ({
        enabled: (await ruleOf(requester.userId, params)).enabled,
      }),
    }),
    route({
      ...part('enabled'),
      operationId: 'setPushRuleEnabled',
      method: 'PUT',
      rateLimit: perUser('general'),
      body: Enabled,
      response: Done,
      handler: ({ requester, params, body: { enabled } }) =>
        change(requester.userId, params, { enabled }),
    }),
    route({
      ...part('actions'),
      operationId: 'getPushRuleActions',
      method: 'GET',
      rateLimit: perUser('read'),
      response: Type.Unsafe<{ actions: PushRule['actions'] }>(
        Type.Object({ actions: ActionsSchema }),
      ),
      handler: async ({ requester, params }) => ({
        actions: (await ruleOf(requester.userId, params)).actions,
      }),
    }),
    route({
      ...part('actions'),
      operationId: 'setPushRuleActions',
      method: 'PUT',
      rateLimit: perUser('general'),
      body: Type.Object({ actions: Type.Unsafe<JsonValue>({}) }),
      response: Done,
      handler: ({ requester, params, body }) =>
        change(requester.userId, params, { actions: parseActions(body.actions) }),
    }),
  ];
};

interface RuleOf {
  readonly kind: string;
  readonly ruleId: string;
}

export const pushRuleRoutes = (deps: Pick<ClientApiDeps, 'auth' | 'pushRules'>): Route[] => [
  ...readingRoutes(deps),
  ...ruleRoutes(deps),
  ...partRoutes(deps),
];
