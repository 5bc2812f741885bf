/**
 * The checks that a push rule made by a person has to pass.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
 */
import { matrixError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../event.ts';
import { fitsInBytes } from '../identifiers.ts';
import { isJsonObject } from '../property-path.ts';
import { isScalar } from './conditions.ts';
import type { PushAction, PushCondition, PushRule, PushRuleKind } from './push-rule.ts';

const MAX_RULE_ID_BYTES = 1_024;
const MAX_PATTERN_BYTES = 1_024;
const MAX_ACTIONS = 32;
const MAX_CONDITIONS = 32;

/** Throws M_INVALID_PARAM for an id that no user-made rule may have. */
export const checkRuleId = (ruleId: string): void => {
  if (ruleId === '') throw matrixError('M_INVALID_PARAM', 'A rule id may not be empty');
  if (ruleId.startsWith('.')) {
    throw matrixError('M_INVALID_PARAM', 'Rule ids that begin with a dot are predefined');
  }
  if (/[/\\]/.test(ruleId)) {
    throw matrixError('M_INVALID_PARAM', 'Rule ids may not contain slashes or backslashes');
  }
  if (!fitsInBytes(ruleId, MAX_RULE_ID_BYTES)) {
    throw matrixError('M_INVALID_PARAM', `Rule ids take at most ${MAX_RULE_ID_BYTES} bytes`);
  }
};

/** The actions in a request. Throws M_MISSING_PARAM or M_INVALID_PARAM. */
export const parseActions = (actions: JsonValue | undefined): PushAction[] => {
  if (actions === undefined) throw matrixError('M_MISSING_PARAM', 'A rule needs `actions`');
  if (!Array.isArray(actions) || actions.length > MAX_ACTIONS || !actions.every(isPushAction)) {
    throw matrixError(
      'M_INVALID_PARAM',
      '`actions` must be a short list of known actions: "notify" or {"set_tweak": …}',
    );
  }
  return actions;
};

const isPushAction = (action: JsonValue): action is JsonValue & PushAction =>
  action === 'notify' ||
  action === 'dont_notify' ||
  action === 'coalesce' ||
  (isJsonObject(action) && typeof action['set_tweak'] === 'string');

/**
 * The rule in the body of a request, enabled, with what its kind has no use for left out. Throws
 * M_MISSING_PARAM or M_INVALID_PARAM.
 */
export const parseUserRule = (kind: PushRuleKind, ruleId: string, body: JsonObject): PushRule => {
  checkRuleId(ruleId);
  const rule: PushRule = {
    rule_id: ruleId,
    default: false,
    enabled: true,
    actions: parseActions(body['actions']),
  };
  switch (kind) {
    case 'override':
    case 'underride':
      return { ...rule, conditions: parseConditions(body['conditions']) };
    case 'content':
      return { ...rule, pattern: parsePattern(body['pattern']) };
    case 'room':
    case 'sender':
      return rule;
  }
};

/** A rule without conditions always matches. */
const parseConditions = (conditions: JsonValue | undefined): PushCondition[] => {
  if (conditions === undefined) return [];
  if (!Array.isArray(conditions) || conditions.length > MAX_CONDITIONS) {
    throw matrixError('M_INVALID_PARAM', '`conditions` must be a short list');
  }
  return conditions.map((condition) => {
    if (!isJsonObject(condition) || typeof condition['kind'] !== 'string') {
      throw matrixError('M_INVALID_PARAM', 'A condition must be an object with a `kind`');
    }
    checkParameters(condition as PushCondition);
    return condition as PushCondition;
  });
};

const parsePattern = (pattern: JsonValue | undefined): string => {
  if (pattern === undefined) throw matrixError('M_MISSING_PARAM', 'A content rule needs `pattern`');
  if (!isShortText(pattern)) throw matrixError('M_INVALID_PARAM', '`pattern` must be a short text');
  return pattern;
};

const isShortText = (value: unknown): value is string =>
  typeof value === 'string' && fitsInBytes(value, MAX_PATTERN_BYTES);

/** What each known kind of condition cannot do without. Unknown kinds are kept and never match. */
const checkParameters = ({ kind, key, pattern, is, value }: PushCondition): void => {
  const isComplete = (): boolean => {
    switch (kind) {
      case 'event_match':
        return isShortText(key) && isShortText(pattern);
      case 'event_property_is':
      case 'event_property_contains':
        return isShortText(key) && isScalar(value);
      case 'room_member_count':
        return isShortText(is);
      case 'sender_notification_permission':
        return isShortText(key);
      default:
        return true;
    }
  };
  if (!isComplete()) {
    throw matrixError(
      'M_INVALID_PARAM',
      `A parameter of the ${kind} condition is missing or wrong`,
    );
  }
};
