/**
 * The push rules a person has made, and the predefined ones that person has changed: what is stored,
 * how requests change it, and the ruleset that results.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#push-rules-api
 */
import { matrixError } from '../errors.ts';
import type { JsonObject } from '../event.ts';
import type { RoomId, UserId } from '../identifiers.ts';
import { defaultRuleset, MASTER_RULE_ID } from './default-rules.ts';
import type { PushAction, PushRule, PushRuleKind, PushRuleset } from './push-rule.ts';

/** A JSON value; what is absent is as predefined. */
export interface UserPushRules {
  /** User-made rules, most important first. */
  readonly rules: PushRuleset;
  /** Changes to predefined rules, by rule id. */
  readonly changes: Readonly<Record<string, RuleChange>>;
}

interface RuleChange {
  readonly enabled?: boolean;
  readonly actions?: readonly PushAction[];
}

export const NO_USER_PUSH_RULES: UserPushRules = {
  rules: { override: [], content: [], room: [], sender: [], underride: [] },
  changes: {},
};

const MAX_RULES_OF_KIND = 1_000;

/**
 * Every rule that applies to a person: of each kind the user-made ones, then the predefined ones;
 * only the master rule stands before all others.
 */
export const effectiveRuleset = (
  userId: UserId,
  { rules, changes }: UserPushRules,
): PushRuleset => {
  const predefined = defaultRuleset(userId);
  const ofKind = (kind: PushRuleKind): PushRule[] => {
    const changed = predefined[kind].map((rule) =>
      Object.hasOwn(changes, rule.rule_id) ? { ...rule, ...changes[rule.rule_id] } : rule,
    );
    const master = changed.filter((rule) => rule.rule_id === MASTER_RULE_ID);
    const others = changed.filter((rule) => rule.rule_id !== MASTER_RULE_ID);
    return [...master, ...rules[kind], ...others];
  };
  return {
    override: ofKind('override'),
    content: ofKind('content'),
    room: ofKind('room'),
    sender: ofKind('sender'),
    underride: ofKind('underride'),
  };
};

/** Where a rule is to stand: next to another user-made rule of its kind. `before` wins. */
export interface RulePlacement {
  /** The rule that the new one is to be next more important than. */
  readonly before?: string | undefined;
  /** The rule that the new one is to be next less important than. */
  readonly after?: string | undefined;
}

/**
 * Adds a rule, as the most important of its kind, or replaces the one with its id, which keeps its
 * place and stays enabled or disabled as it was; a placement overrides the place in both cases.
 * Throws a 400 if there is no rule to place it by, or if there are too many.
 */
export const putRule = (
  stored: UserPushRules,
  kind: PushRuleKind,
  rule: PushRule,
  { before, after }: RulePlacement = {},
): UserPushRules => {
  const rules = stored.rules[kind];
  const index = rules.findIndex(({ rule_id }) => rule_id === rule.rule_id);
  const existing = rules[index];
  if (existing === undefined && rules.length >= MAX_RULES_OF_KIND) {
    throw matrixError('M_INVALID_PARAM', `At most ${MAX_RULES_OF_KIND} rules of a kind`);
  }
  const placed = existing === undefined ? rule : { ...rule, enabled: existing.enabled };
  const anchor = before ?? after;
  if (anchor === undefined) {
    return withRules(
      stored,
      kind,
      existing === undefined ? [placed, ...rules] : rules.with(index, placed),
    );
  }
  const others = rules.filter(({ rule_id }) => rule_id !== rule.rule_id);
  const anchorIndex = others.findIndex(({ rule_id }) => rule_id === anchor);
  if (anchorIndex === -1) {
    throw matrixError('M_UNKNOWN', `before/after rule not found: ${anchor}`, {}, { status: 400 });
  }
  const place = before === undefined ? anchorIndex + 1 : anchorIndex;
  return withRules(stored, kind, others.toSpliced(place, 0, placed));
};

/**
 * The rules that are named after a room, as most clients name those about one, once more for another
 * room. What is there for the other room already stays.
 * @returns `stored` itself where there are none
 */
export const withRulesOfRoom = (stored: UserPushRules, from: RoomId, to: RoomId): UserPushRules => {
  let copied = stored;
  const replaced = (value: unknown): JsonObject =>
    JSON.parse(JSON.stringify(value), (_, item: unknown) => (item === from ? to : item));
  for (const kind of ['override', 'room', 'underride'] as const) {
    const rules = stored.rules[kind];
    if (rules.length >= MAX_RULES_OF_KIND || rules.some(({ rule_id }) => rule_id === to)) continue;
    const index = rules.findIndex(({ rule_id }) => rule_id === from);
    if (index === -1) continue;
    const rule = replaced(rules[index]) as unknown as PushRule;
    copied = withRules(copied, kind, rules.toSpliced(index + 1, 0, rule));
  }
  return copied;
};

/** Removes a user-made rule. Throws M_NOT_FOUND; predefined rules cannot be removed. */
export const deleteRule = (
  stored: UserPushRules,
  kind: PushRuleKind,
  ruleId: string,
): UserPushRules => {
  const rules = stored.rules[kind];
  const remaining = rules.filter(({ rule_id }) => rule_id !== ruleId);
  if (remaining.length === rules.length) throw ruleNotFound();
  return withRules(stored, kind, remaining);
};

/** Enables or disables a rule of either sort, or sets its actions. Throws M_NOT_FOUND. */
export const changeRule = (
  stored: UserPushRules,
  kind: PushRuleKind,
  ruleId: string,
  change: RuleChange,
): UserPushRules => {
  if (isPredefined(kind, ruleId)) {
    const earlier = Object.hasOwn(stored.changes, ruleId) ? stored.changes[ruleId] : {};
    return { ...stored, changes: { ...stored.changes, [ruleId]: { ...earlier, ...change } } };
  }
  const rules = stored.rules[kind];
  const index = rules.findIndex(({ rule_id }) => rule_id === ruleId);
  const rule = rules[index];
  if (rule === undefined) throw ruleNotFound();
  return withRules(stored, kind, rules.with(index, { ...rule, ...change }));
};

/** The rule with an id. Throws M_NOT_FOUND. */
export const findRule = (ruleset: PushRuleset, kind: PushRuleKind, ruleId: string): PushRule => {
  const rule = ruleset[kind].find(({ rule_id }) => rule_id === ruleId);
  if (rule === undefined) throw ruleNotFound();
  return rule;
};

const ruleNotFound = () => matrixError('M_NOT_FOUND', 'The push rule was not found');

const withRules = (
  stored: UserPushRules,
  kind: PushRuleKind,
  rules: readonly PushRule[],
): UserPushRules => ({ ...stored, rules: { ...stored.rules, [kind]: rules } });

/** Whose rules they are does not matter for their ids. */
const PREDEFINED = defaultRuleset('@:' as UserId);

const isPredefined = (kind: PushRuleKind, ruleId: string): boolean =>
  PREDEFINED[kind].some(({ rule_id }) => rule_id === ruleId);
