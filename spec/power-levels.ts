/**
 * Power levels: who may do what, read from `m.room.power_levels` as each room version reads it.
 *
 * Values are read on demand, so that making a `PowerLevels` costs nothing in rooms that list
 * thousands of users. Specification:
 * https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
 */
import type { JsonObject, JsonValue, MatrixEvent } from './event.ts';
import type { UserId } from './identifiers.ts';
import type { PowerLevelRules, RoomVersionRules } from './room-versions.ts';

/** The properties of the content that are one level each, with their defaults. */
export const LEVEL_DEFAULTS = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
} as const;

export type LevelName = keyof typeof LEVEL_DEFAULTS;

/** The level of the creator in a room without `m.room.power_levels`, unless it is infinite. */
const CREATOR_LEVEL_WITHOUT_EVENT = 100;
const DEFAULT_NOTIFICATION_LEVEL = 50;

const STRING_LEVEL = /^\s*[+-]?[0-9]+\s*$/;

/**
 * One level as the room version reads it, or `undefined` if it is not one:
 * https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-strings
 */
export const readLevel = (
  value: JsonValue | undefined,
  rules: PowerLevelRules,
): number | undefined => {
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return value;
    return rules.acceptFloats && Number.isFinite(value) ? Math.trunc(value) : undefined;
  }
  if (typeof value === 'string' && rules.acceptStrings && STRING_LEVEL.test(value)) {
    const level = Number(value);
    return Number.isFinite(level) ? level : undefined;
  }
  return undefined;
};

export class PowerLevels {
  /** The users who made the room; empty if the room's creator is unknown. */
  readonly creators: ReadonlySet<string>;
  readonly #content: JsonObject | undefined;
  readonly #rules: PowerLevelRules;

  /** `content` is that of the room's `m.room.power_levels` event, if it has one. */
  constructor(
    content: JsonObject | undefined,
    creators: ReadonlySet<string>,
    rules: RoomVersionRules,
  ) {
    this.#content = content;
    this.creators = creators;
    this.#rules = rules.powerLevels;
  }

  /** `Infinity` for the creators of a room whose version says so. */
  ofUser(userId: UserId | string): number {
    if (this.creators.has(userId)) {
      if (this.#rules.creatorsAreInfinite) return Number.POSITIVE_INFINITY;
      if (this.#content === undefined) return CREATOR_LEVEL_WITHOUT_EVENT;
    }
    return this.#entry('users', userId) ?? this.level('users_default');
  }

  /** The level that sending an event of this type takes. */
  requiredFor(type: string, isState: boolean): number {
    return this.#entry('events', type) ?? this.level(isState ? 'state_default' : 'events_default');
  }

  /** The level that mentioning takes: `room` for `@room`. */
  requiredForNotification(key: string): number {
    return this.#entry('notifications', key) ?? DEFAULT_NOTIFICATION_LEVEL;
  }

  /** What the event says of mentions: levels by key. */
  notificationLevels(): Record<string, number> {
    const named = this.#content?.['notifications'];
    const keys = isObject(named) ? Object.keys(named) : [];
    return Object.fromEntries(keys.map((key) => [key, this.requiredForNotification(key)]));
  }

  level(name: LevelName): number {
    return readLevel(this.#content?.[name], this.#rules) ?? LEVEL_DEFAULTS[name];
  }

  canSend(userId: UserId | string, type: string, isState: boolean): boolean {
    return this.ofUser(userId) >= this.requiredFor(type, isState);
  }

  canInvite(userId: UserId | string): boolean {
    return this.ofUser(userId) >= this.level('invite');
  }

  canKick(userId: UserId | string, target: UserId | string): boolean {
    const level = this.ofUser(userId);
    return level >= this.level('kick') && this.ofUser(target) < level;
  }

  canBan(userId: UserId | string, target: UserId | string): boolean {
    const level = this.ofUser(userId);
    return level >= this.level('ban') && this.ofUser(target) < level;
  }

  /** Whether the user may redact the events of others. */
  canRedact(userId: UserId | string): boolean {
    return this.ofUser(userId) >= this.level('redact');
  }

  #entry(map: 'users' | 'events' | 'notifications', key: string): number | undefined {
    const entries = this.#content?.[map];
    // Own properties only: keys come from others, and may be named like one of Object's.
    return isObject(entries) && Object.hasOwn(entries, key)
      ? readLevel(entries[key], this.#rules)
      : undefined;
  }
}

/** The power levels that hold in a room with this create event and this power levels event. */
export const powerLevelsOf = (
  powerLevelsEvent: MatrixEvent | undefined,
  createEvent: MatrixEvent | undefined,
  rules: RoomVersionRules,
): PowerLevels =>
  new PowerLevels(
    powerLevelsEvent?.content,
    createEvent === undefined ? new Set() : creatorsOf(createEvent, rules),
    rules,
  );

const creatorsByCreateEvent = new WeakMap<MatrixEvent, ReadonlySet<string>>();

/** The creator of a room first, then, where the room version has them, the additional ones. */
export const creatorsOf = (
  createEvent: MatrixEvent,
  rules: RoomVersionRules,
): ReadonlySet<string> => {
  let creators = creatorsByCreateEvent.get(createEvent);
  if (creators === undefined) {
    creators = readCreators(createEvent, rules);
    creatorsByCreateEvent.set(createEvent, creators);
  }
  return creators;
};

const readCreators = (createEvent: MatrixEvent, rules: RoomVersionRules): ReadonlySet<string> => {
  const creators = new Set<string>();
  const creator = rules.creatorInContent ? createEvent.content['creator'] : createEvent.sender;
  if (typeof creator === 'string') creators.add(creator);
  const additional = createEvent.content['additional_creators'];
  if (rules.additionalCreators && Array.isArray(additional)) {
    for (const user of additional) if (typeof user === 'string') creators.add(user);
  }
  return creators;
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
