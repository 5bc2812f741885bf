/**
 * The shapes of push rules.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import type { JsonObject, JsonValue } from '../event.ts';

/** The kinds of rules, in the order in which they are checked. */
export const PUSH_RULE_KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const;

export type PushRuleKind = (typeof PUSH_RULE_KINDS)[number];

export const isPushRuleKind = (value: string): value is PushRuleKind =>
  (PUSH_RULE_KINDS as readonly string[]).includes(value);

export interface SetTweak {
  readonly set_tweak: string;
  readonly value?: JsonValue;
}

/** `dont_notify` and `coalesce` are historical: kept where they were given, without any effect. */
export type PushAction = 'notify' | 'dont_notify' | 'coalesce' | SetTweak;

/** A condition as written; kinds that we do not know never match. */
export type PushCondition = JsonObject & { readonly kind: string };

export interface PushRule {
  readonly rule_id: string;
  /** Whether the rule is one of the predefined ones. */
  readonly default: boolean;
  readonly enabled: boolean;
  readonly actions: readonly PushAction[];
  /** Of override and underride rules: all must hold. */
  readonly conditions?: readonly PushCondition[];
  /** Of content rules: a glob. */
  readonly pattern?: string;
}

/** Every rule that applies to a person, most important first within each kind. */
export type PushRuleset = Readonly<Record<PushRuleKind, readonly PushRule[]>>;
