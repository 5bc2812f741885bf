/**
 * Push rules compiled once per person and evaluated for every event that person might be told of.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { compileCondition, compileEventMatch, type Predicate } from './conditions.ts';
import { isSharedRule } from './default-rules.ts';
import type { PreparedEvent } from './prepared-event.ts';
import {
  PUSH_RULE_KINDS,
  type PushAction,
  type PushRule,
  type PushRuleKind,
  type PushRuleset,
  type SetTweak,
} from './push-rule.ts';

/** What is to happen for an event. The same rule always answers with the same object. */
export interface PushVerdict {
  /** The rule that matched, `undefined` if none did. */
  readonly ruleId: string | undefined;
  /** The rule's actions without those that are to be ignored. */
  readonly actions: readonly (PushAction & ('notify' | SetTweak))[];
  readonly notify: boolean;
  /** The `highlight` tweak; `false` unless the rule notifies. */
  readonly highlight: boolean;
}

const NO_MATCH: PushVerdict = { ruleId: undefined, actions: [], notify: false, highlight: false };

interface CompiledRule {
  readonly matches: Predicate;
  readonly verdict: PushVerdict;
}

/** The enabled rules of a person, most important first. */
export type CompiledRuleset = readonly CompiledRule[];

export const compileRuleset = (ruleset: PushRuleset): CompiledRuleset =>
  PUSH_RULE_KINDS.flatMap((kind) =>
    ruleset[kind].filter((rule) => rule.enabled).map((rule) => compileRule(kind, rule)),
  );

/**
 * The verdict of the most important rule that matches. `displayName` is the member's, in this room.
 * The caller leaves out the sender of the event: nobody is notified of their own events.
 */
export const evaluateRuleset = (
  rules: CompiledRuleset,
  event: PreparedEvent,
  displayName: string | undefined,
): PushVerdict => {
  for (const rule of rules) {
    if (rule.matches(event, displayName)) return rule.verdict;
  }
  return NO_MATCH;
};

/** Rules are never changed in place, and the predefined ones are shared by everybody. */
const compiledRules = new WeakMap<PushRule, CompiledRule>();

const compileRule = (kind: PushRuleKind, rule: PushRule): CompiledRule => {
  let compiled = compiledRules.get(rule);
  if (compiled === undefined) {
    const matches = compileMatch(kind, rule);
    compiled = {
      matches: isSharedRule(rule) ? rememberingLast(matches) : matches,
      verdict: verdictOf(rule),
    };
    compiledRules.set(rule, compiled);
  }
  return compiled;
};

/** Members are evaluated one after another on the same event, and here they all get one answer. */
const rememberingLast = (matches: Predicate): Predicate => {
  let lastEvent: PreparedEvent | undefined;
  let lastAnswer = false;
  return (event, displayName) => {
    if (event !== lastEvent) {
      lastAnswer = matches(event, displayName);
      lastEvent = event;
    }
    return lastAnswer;
  };
};

const compileMatch = (kind: PushRuleKind, rule: PushRule): Predicate => {
  switch (kind) {
    case 'content':
      return rule.pattern === undefined
        ? () => false
        : compileEventMatch('content.body', rule.pattern);
    case 'room':
      return (event) => event.roomId === rule.rule_id;
    case 'sender':
      return (event) => event.sender === rule.rule_id;
    case 'override':
    case 'underride':
      return allOf((rule.conditions ?? []).map(compileCondition));
  }
};

const allOf = (predicates: readonly Predicate[]): Predicate => {
  const [first, ...rest] = predicates;
  if (first === undefined) return () => true;
  if (rest.length === 0) return first;
  return (event, displayName) => {
    for (const predicate of predicates) if (!predicate(event, displayName)) return false;
    return true;
  };
};

const verdictOf = (rule: PushRule): PushVerdict => {
  const actions = rule.actions.filter(
    (action) => action !== 'dont_notify' && action !== 'coalesce',
  );
  const notify = actions.includes('notify');
  const highlight = actions.some(
    (action) =>
      typeof action === 'object' &&
      action.set_tweak === 'highlight' &&
      (action.value ?? true) === true,
  );
  return { ruleId: rule.rule_id, actions, notify, highlight: notify && highlight };
};
