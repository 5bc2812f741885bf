/** The parts of push rules that routes take and give. Their values are checked in `spec/push-rules`. */
import { Type } from 'typebox';
import type { JsonValue } from '../../spec/event.ts';
import {
  PUSH_RULE_KINDS,
  type PushRule,
  type PushRuleKind,
  type PushRuleset,
} from '../../spec/push-rules/push-rule.ts';

export const KindSchema = Type.Unsafe<PushRuleKind>(
  Type.Union(PUSH_RULE_KINDS.map((kind) => Type.Literal(kind))),
);

export const RuleParams = Type.Object({ kind: KindSchema, ruleId: Type.String() });

export const EnabledSchema = Type.Object({ enabled: Type.Boolean() });

export const ActionsBody = Type.Object({ actions: Type.Unsafe<JsonValue>({}) });

const ActionsSchema = Type.Array(Type.Union([Type.String(), Type.Object({})]));

export const ActionsResponse = Type.Unsafe<{ actions: PushRule['actions'] }>(
  Type.Object({ actions: ActionsSchema }),
);

export const RuleResponse = Type.Unsafe<PushRule>(
  Type.Object({
    rule_id: Type.String(),
    default: Type.Boolean(),
    enabled: Type.Boolean(),
    actions: ActionsSchema,
    conditions: Type.Optional(Type.Array(Type.Object({ kind: Type.String() }))),
    pattern: Type.Optional(Type.String()),
  }),
);

const RulesSchema = Type.Array(RuleResponse);

export const RulesResponse = Type.Unsafe<readonly PushRule[]>(RulesSchema);

export const RulesetResponse = Type.Unsafe<PushRuleset>(
  Type.Object({
    override: RulesSchema,
    content: RulesSchema,
    room: RulesSchema,
    sender: RulesSchema,
    underride: RulesSchema,
  }),
);
