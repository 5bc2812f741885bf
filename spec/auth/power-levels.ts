/**
 * Authorisation of `m.room.power_levels`: nobody raises or lowers beyond their own level.
 *
 * Numbers in comments are those of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules;
 * what an older version lacks or does otherwise is asked of its rules.
 */
import type { JsonObject, JsonValue } from '../event.ts';
import { isUserId } from '../identifiers.ts';
import { creatorsOf, LEVEL_DEFAULTS, type LevelName, readLevel } from '../power-levels.ts';
import type { AuthContext } from './auth-context.ts';
import { EventRejected, type PowerLevelRuleNumbers } from './event-rejected.ts';

const LEVEL_NAMES = Object.keys(LEVEL_DEFAULTS) as LevelName[];

/** The rules that ask for nothing but the content, and who made the room. */
const contentRules: ReadonlySet<keyof PowerLevelRuleNumbers> = new Set([
  'levelTypes',
  'mapTypes',
  'users',
  'creators',
]);

type Reject = (name: keyof PowerLevelRuleNumbers, message: string, subRule?: number) => never;

/** @throws EventRejected */
export const authorisePowerLevels = (context: AuthContext): void => {
  const { event, rules, numbering, createEvent } = context;
  const reject: Reject = (name, message, subRule) => {
    const rule = `${numbering.rule.powerLevels}.${numbering.powerLevels[name]}`;
    const numbered = subRule === undefined ? rule : `${rule}.${subRule}`;
    throw new EventRejected(numbered, message, { isAboutContent: contentRules.has(name) });
  };
  const { content } = event;
  if (rules.powerLevels.strictTypes) checkTypes(content, reject);
  checkUsers(content, context, reject);
  // 10.4. If the users property in content contains the sender of the m.room.create event or any of
  //       the additional_creators array (if present) from the content of the m.room.create event,
  //       reject.
  if (rules.powerLevels.creatorsAreInfinite && createEvent !== undefined) {
    const users = objectIn(content, 'users');
    for (const creator of creatorsOf(createEvent, rules)) {
      if (Object.hasOwn(users, creator)) reject('creators', 'a creator of the room is listed');
    }
  }
  // 10.5. If there is no previous m.room.power_levels event in the room, allow.
  const previous = context.state('m.room.power_levels', '');
  if (previous === undefined) return;
  checkLevels(previous.content, content, context, reject);
  checkEntries(previous.content, content, context, reject);
  checkUserChanges(previous.content, content, context, reject);
  // 10.11. Otherwise, allow.
};

const checkTypes = (content: JsonObject, reject: Reject): void => {
  // 10.1. If any of the properties users_default, events_default, state_default, ban, redact, kick,
  //       or invite in content are present and not an integer, reject.
  for (const name of LEVEL_NAMES) {
    if (content[name] !== undefined && !Number.isInteger(content[name])) {
      reject('levelTypes', `${name} is not an integer`);
    }
  }
  // 10.2. If either of the properties events or notifications in content are present and not an
  //       object with values that are integers, reject.
  for (const name of ['events', 'notifications']) {
    const entries = content[name];
    if (entries === undefined) continue;
    if (!isObject(entries) || !Object.values(entries).every(Number.isInteger)) {
      reject('mapTypes', `${name} is not an object of integers`);
    }
  }
};

const checkUsers = (content: JsonObject, { rules }: AuthContext, reject: Reject): void => {
  // 10.3. If the users property in content is not an object with keys that are valid user IDs with
  //       values that are integers (or, before version 10, a string that is an integer), reject.
  const { users } = content;
  if (users === undefined) return;
  if (!isObject(users)) reject('users', 'users is not an object');
  for (const [user, value] of Object.entries(users)) {
    if (!isUserId(user)) reject('users', 'users has a key that is not a user id');
    if (readLevel(value, rules.powerLevels) === undefined) {
      reject('users', `the power level of ${user} is not an integer`);
    }
  }
};

const checkLevels = (
  before: JsonObject,
  after: JsonObject,
  context: AuthContext,
  reject: Reject,
): void => {
  const senderLevel = context.levelOf(context.event.sender);
  // 10.6. For the properties users_default, events_default, state_default, ban, redact, kick,
  //       invite check if they were added, changed or removed. For each found alteration:
  for (const name of LEVEL_NAMES) {
    const current = readLevel(before[name], context.rules.powerLevels);
    const next = readNewLevel(after[name], context, () =>
      reject('levels', `${name} is not a level`),
    );
    if (current === next) continue;
    // 10.6.1. If the current value is higher than the sender's current power level, reject.
    if (current !== undefined && current > senderLevel) {
      reject('levels', `not enough power to change ${name}`, 1);
    }
    // 10.6.2. If the new value is higher than the sender's current power level, reject.
    if (next !== undefined && next > senderLevel) {
      reject('levels', `not enough power to set ${name} so high`, 2);
    }
  }
};

const checkEntries = (
  before: JsonObject,
  after: JsonObject,
  context: AuthContext,
  reject: Reject,
): void => {
  const senderLevel = context.levelOf(context.event.sender);
  const maps = context.rules.powerLevels.authoriseNotifications
    ? (['events', 'notifications'] as const)
    : (['events'] as const);
  for (const map of maps) {
    for (const { key, current, next } of changedEntries(before, after, map, context, () =>
      reject('newEntries', `${map} has a value that is not a level`),
    )) {
      // 10.7. For each entry being changed in, or removed from, the events or notifications
      //       properties:
      //   10.7.1. If the current value is greater than the sender's current power level, reject.
      if (current !== undefined && current > senderLevel) {
        reject('oldEntries', `not enough power to change the level of ${key}`, 1);
      }
      // 10.8. For each entry being added to, or changed in, the events or notifications properties:
      //   10.8.1. If the new value is greater than the sender's current power level, reject.
      if (next !== undefined && next > senderLevel) {
        reject('newEntries', `not enough power to set the level of ${key} so high`, 1);
      }
    }
  }
};

const checkUserChanges = (
  before: JsonObject,
  after: JsonObject,
  context: AuthContext,
  reject: Reject,
): void => {
  const { sender } = context.event;
  const senderLevel = context.levelOf(sender);
  for (const { key, current, next } of changedEntries(before, after, 'users', context, () =>
    reject('users', 'users has a value that is not a level'),
  )) {
    // 10.9. For each entry being changed in, or removed from, the users property, other than the
    //       sender's own entry:
    //   10.9.1. If the current value is greater than or equal to the sender's current power level,
    //           reject.
    if (key !== sender && current !== undefined && current >= senderLevel) {
      reject('oldUsers', `not enough power to change the level of ${key}`, 1);
    }
    // 10.10. For each entry being added to, or changed in, the users property:
    //   10.10.1. If the new value is greater than the sender's current power level, reject.
    if (next !== undefined && next > senderLevel) {
      reject('newUsers', `not enough power to raise ${key} so high`, 1);
    }
  }
};

interface ChangedEntry {
  readonly key: string;
  readonly current: number | undefined;
  readonly next: number | undefined;
}

const changedEntries = (
  before: JsonObject,
  after: JsonObject,
  map: 'events' | 'notifications' | 'users',
  context: AuthContext,
  rejectValue: () => never,
): ChangedEntry[] => {
  const old = objectIn(before, map);
  const fresh = objectIn(after, map);
  const changed: ChangedEntry[] = [];
  for (const key of new Set([...Object.keys(old), ...Object.keys(fresh)])) {
    const current = readLevel(ownValue(old, key), context.rules.powerLevels);
    const next = readNewLevel(ownValue(fresh, key), context, rejectValue);
    if (current !== next) changed.push({ key, current, next });
  }
  return changed;
};

/** Where types are not checked beforehand, a new value that is no level must not slip through. */
const readNewLevel = (
  value: JsonValue | undefined,
  { rules }: AuthContext,
  rejectValue: () => never,
): number | undefined => {
  if (value === undefined) return undefined;
  return readLevel(value, rules.powerLevels) ?? rejectValue();
};

const ownValue = (object: JsonObject, key: string): JsonValue | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

const objectIn = (content: JsonObject, key: string): JsonObject => {
  const value = content[key];
  return isObject(value) ? value : {};
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
