/**
 * The conditions of push rules, compiled to predicates over a prepared event.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#conditions-1
 */
import type { JsonValue } from '../event.ts';
import { compileGlob, matchesWhole, matchesWords } from '../glob.ts';
import { parsePropertyPath } from '../property-path.ts';
import type { PreparedEvent } from './prepared-event.ts';
import type { PushCondition } from './push-rule.ts';

/** Whether a condition holds for an event and a member, whose display name is given if it has one. */
export type Predicate = (event: PreparedEvent, displayName: string | undefined) => boolean;

const NEVER: Predicate = () => false;

/** Conditions of unknown kinds, and known ones with wrong parameters, never hold. */
export const compileCondition = (condition: PushCondition): Predicate => {
  const { kind, key, pattern, is, value } = condition;
  switch (kind) {
    case 'event_match':
      return typeof key === 'string' && typeof pattern === 'string'
        ? compileEventMatch(key, pattern)
        : NEVER;
    case 'event_property_is':
      return typeof key === 'string' && isScalar(value) ? compilePropertyIs(key, value) : NEVER;
    case 'event_property_contains':
      return typeof key === 'string' && isScalar(value)
        ? compilePropertyContains(key, value)
        : NEVER;
    case 'contains_display_name':
      return containsDisplayName;
    case 'room_member_count':
      return typeof is === 'string' ? compileMemberCount(is) : NEVER;
    case 'sender_notification_permission':
      return typeof key === 'string' ? (event) => event.senderMayNotify(key) : NEVER;
    default:
      return NEVER;
  }
};

/** A non-compound value of canonical JSON. */
export const isScalar = (value: unknown): value is string | number | boolean | null =>
  typeof value === 'string' ||
  typeof value === 'boolean' ||
  value === null ||
  Number.isSafeInteger(value);

/**
 * Matches without regard to case, which here means after Unicode lowercasing: the whole of a
 * property, except that in `content.body` it is any run of words.
 */
export const compileEventMatch = (key: string, pattern: string): Predicate => {
  const path = parsePropertyPath(key);
  const lowercase = pattern.toLowerCase();
  if (key === 'content.body') {
    const glob = compileGlob(lowercase);
    return (event) => {
      const body = event.lowercaseAt(key, path);
      return body !== undefined && matchesWords(glob, body);
    };
  }
  if (!/[*?]/.test(lowercase)) return (event) => event.lowercaseAt(key, path) === lowercase;
  const glob = compileGlob(lowercase);
  return (event) => {
    const text = event.lowercaseAt(key, path);
    return text !== undefined && matchesWhole(glob, text);
  };
};

const compilePropertyIs = (key: string, expected: JsonValue): Predicate => {
  const path = parsePropertyPath(key);
  return (event) => event.valueAt(key, path) === expected;
};

const compilePropertyContains = (key: string, expected: JsonValue): Predicate => {
  const path = parsePropertyPath(key);
  return (event) => {
    const values = event.valueAt(key, path);
    return Array.isArray(values) && values.includes(expected);
  };
};

const BODY_PATH = ['content', 'body'];

const containsDisplayName: Predicate = (event, displayName) => {
  if (displayName === undefined || displayName === '') return false;
  const body = event.lowercaseAt('content.body', BODY_PATH);
  // A display name is text, not a pattern.
  const name = { segments: [{ text: displayName.toLowerCase(), hasAnyChar: false }] };
  return body !== undefined && matchesWords(name, body);
};

const MEMBER_COUNT = /^(==|<=|>=|<|>)?([0-9]+)$/;

const compileMemberCount = (is: string): Predicate => {
  const [, operator = '==', digits] = MEMBER_COUNT.exec(is) ?? [];
  if (digits === undefined) return NEVER;
  const count = Number(digits);
  switch (operator) {
    case '<':
      return (event) => event.memberCount < count;
    case '>':
      return (event) => event.memberCount > count;
    case '<=':
      return (event) => event.memberCount <= count;
    case '>=':
      return (event) => event.memberCount >= count;
    default:
      return (event) => event.memberCount === count;
  }
};
