/**
 * Filters: the JSON that clients send, checked and made ready to be applied to many events.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import { matrixError } from './errors.ts';
import type { JsonObject, JsonValue } from './event.ts';
import { compileFieldSelection, type FieldSelection } from './field-selection.ts';
import { compileGlob, matchesWhole } from './glob.ts';
import { isRoomId, isUserId, type RoomId, type UserId } from './identifiers.ts';
import { isJsonObject } from './property-path.ts';

/** What a filter looks at. Anything but events of rooms has no `content.url` and no room. */
export interface FilterableEvent {
  readonly type: string;
  readonly sender?: string | undefined;
  readonly roomId?: string | undefined;
  readonly content?: JsonObject | undefined;
}

/** An inclusion and an exclusion list. `included` is `undefined` when everything is included. */
export interface Selection<T> {
  readonly included: ReadonlySet<T> | undefined;
  readonly excluded: ReadonlySet<T>;
}

export interface EventFilter {
  /** Most events to return, between 0 and the server's maximum. */
  readonly limit: number;
  readonly types: Selection<string>;
  readonly senders: Selection<UserId>;
  /** Whether no event whatever passes, so that none need be read. */
  readonly matchesNothing: boolean;
  matchesType(type: string): boolean;
  matchesEvent(event: FilterableEvent): boolean;
}

export interface RoomEventFilter extends EventFilter {
  readonly rooms: Selection<RoomId>;
  /** `true`: only events with a `url` in their content; `false`: only those without. */
  readonly containsUrl: boolean | undefined;
  readonly lazyLoadMembers: boolean;
  readonly includeRedundantMembers: boolean;
  readonly unreadThreadNotifications: boolean;
  matchesRoom(roomId: string): boolean;
}

export interface Filter {
  /** Which fields of events to return; `undefined` is all of them. */
  readonly eventFields: FieldSelection | undefined;
  readonly eventFormat: 'client' | 'federation';
  readonly presence: EventFilter;
  readonly accountData: EventFilter;
  readonly room: {
    readonly rooms: Selection<RoomId>;
    /** Comes before the filters below, which have lists of rooms of their own. */
    matchesRoom(roomId: string): boolean;
    readonly includeLeave: boolean;
    readonly ephemeral: RoomEventFilter;
    readonly state: RoomEventFilter;
    readonly timeline: RoomEventFilter;
    readonly accountData: RoomEventFilter;
  };
}

export interface FilterLimits {
  /** For a filter that names no limit. */
  readonly defaultLimit: number;
  /** A higher limit is taken as this one. */
  readonly maxLimit: number;
}

export const DEFAULT_FILTER_LIMITS: FilterLimits = { defaultLimit: 10, maxLimit: 100 };

/** Longer lists, which no client has a use for, are refused. */
const MAX_LIST_LENGTH = 1_000;

/**
 * A filter as `/sync` takes it and as `/user/{userId}/filter` stores it. Unknown keys are ignored.
 * Throws M_BAD_JSON naming the key at fault.
 */
export const compileFilter = (
  definition: JsonValue,
  limits: FilterLimits = DEFAULT_FILTER_LIMITS,
): Filter => {
  const root = new Reader(definition, 'filter');
  const room = root.child('room');
  const rooms = room.selection('rooms', 'not_rooms', isRoomId, 'room ids');
  return {
    eventFields: compileFields(root),
    eventFormat: root.oneOf('event_format', ['client', 'federation']) ?? 'client',
    presence: readEventFilter(root.child('presence'), limits),
    accountData: readEventFilter(root.child('account_data'), limits),
    room: {
      rooms,
      matchesRoom: (roomId) => isSelected(rooms, roomId as RoomId),
      includeLeave: room.flag('include_leave') ?? false,
      ephemeral: readRoomEventFilter(room.child('ephemeral'), limits),
      state: readRoomEventFilter(room.child('state'), limits),
      timeline: readRoomEventFilter(room.child('timeline'), limits),
      accountData: readRoomEventFilter(room.child('account_data'), limits),
    },
  };
};

/** A filter as `/messages`, `/context` and `/search` take it. Throws M_BAD_JSON. */
export const compileRoomEventFilter = (
  definition: JsonValue,
  limits: FilterLimits = DEFAULT_FILTER_LIMITS,
): RoomEventFilter => readRoomEventFilter(new Reader(definition, 'filter'), limits);

const compileFields = (root: Reader): FieldSelection | undefined => {
  const paths = root.list('event_fields', isAnyText, 'property paths');
  if (paths === undefined) return undefined;
  const selection = compileFieldSelection(paths);
  if (selection === undefined) throw root.error('event_fields', 'has a path with too many parts');
  return selection;
};

const readEventFilter = (reader: Reader, limits: FilterLimits): EventFilter => {
  const types = reader.selection('types', 'not_types', isAnyText, 'event types');
  const senders = reader.selection('senders', 'not_senders', isUserId, 'user ids');
  const matchesType = typeMatcher(types);
  return {
    limit: Math.min(reader.count('limit') ?? limits.defaultLimit, limits.maxLimit),
    types,
    senders,
    matchesNothing: isEmpty(types) || isEmpty(senders),
    matchesType,
    matchesEvent: ({ type, sender }) =>
      matchesType(type) && isSelected(senders, sender as UserId | undefined),
  };
};

const readRoomEventFilter = (reader: Reader, limits: FilterLimits): RoomEventFilter => {
  const base = readEventFilter(reader, limits);
  const rooms = reader.selection('rooms', 'not_rooms', isRoomId, 'room ids');
  const containsUrl = reader.flag('contains_url');
  return {
    ...base,
    rooms,
    containsUrl,
    lazyLoadMembers: reader.flag('lazy_load_members') ?? false,
    includeRedundantMembers: reader.flag('include_redundant_members') ?? false,
    unreadThreadNotifications: reader.flag('unread_thread_notifications') ?? false,
    matchesNothing: base.matchesNothing || isEmpty(rooms),
    matchesRoom: (roomId) => isSelected(rooms, roomId as RoomId),
    matchesEvent: (event) =>
      base.matchesEvent(event) &&
      isSelected(rooms, event.roomId as RoomId | undefined) &&
      (containsUrl === undefined || hasUrl(event.content) === containsUrl),
  };
};

const isAnyText = (value: string): value is string => typeof value === 'string';

const hasUrl = (content: JsonObject | undefined): boolean =>
  content !== undefined && Object.hasOwn(content, 'url');

const isEmpty = ({ included }: Selection<unknown>): boolean => included?.size === 0;

/** What is absent from the event is in no list. Exclusion wins. */
const isSelected = <T>({ included, excluded }: Selection<T>, value: T | undefined): boolean =>
  (included === undefined || (value !== undefined && included.has(value))) &&
  (value === undefined || !excluded.has(value));

/** Of the wildcards of globs, types have only `*`. */
const typeMatcher = ({ included, excluded }: Selection<string>): ((type: string) => boolean) => {
  const isIncluded = included === undefined ? () => true : anyTypeMatcher(included);
  const isExcluded = anyTypeMatcher(excluded);
  return (type) => isIncluded(type) && !isExcluded(type);
};

const anyTypeMatcher = (patterns: ReadonlySet<string>): ((type: string) => boolean) => {
  const globs = [...patterns]
    .filter((pattern) => pattern.includes('*'))
    .map((pattern) => compileGlob(pattern, { anyChar: false }));
  if (globs.length === 0) return (type) => patterns.has(type);
  return (type) => patterns.has(type) || globs.some((glob) => matchesWhole(glob, type));
};

/** Reads the keys of one object of a filter, and knows its path for error messages. */
class Reader {
  readonly #object: JsonObject;
  readonly #path: string;

  constructor(value: JsonValue, path: string) {
    this.#path = path;
    if (!isJsonObject(value)) throw badFilter(path, 'must be an object');
    this.#object = value;
  }

  error(key: string, problem: string): Error {
    return badFilter(`${this.#path}.${key}`, problem);
  }

  child(key: string): Reader {
    return new Reader(this.#own(key) ?? {}, `${this.#path}.${key}`);
  }

  flag(key: string): boolean | undefined {
    const value = this.#own(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.error(key, 'must be true or false');
  }

  /**
   * The specification asks for more than 0, but 0 has always been taken as "none of these", and
   * clients rely on it.
   */
  count(key: string): number | undefined {
    const value = this.#own(key);
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0)) {
      return value as number | undefined;
    }
    throw this.error(key, 'must be an integer, and not negative');
  }

  oneOf<T extends string>(key: string, options: readonly T[]): T | undefined {
    const value = this.#own(key);
    const option = options.find((candidate) => candidate === value);
    if (value === undefined || option !== undefined) return option;
    throw this.error(key, `must be one of: ${options.join(', ')}`);
  }

  list<T extends string>(
    key: string,
    isItem: (value: string) => value is T,
    what: string,
  ): T[] | undefined {
    const value = this.#own(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length > MAX_LIST_LENGTH) {
      throw this.error(key, `must be a list of at most ${MAX_LIST_LENGTH} ${what}`);
    }
    return value.map((item) => {
      if (typeof item !== 'string' || !isItem(item)) throw this.error(key, `must list ${what}`);
      return item;
    });
  }

  selection<T extends string>(
    includedKey: string,
    excludedKey: string,
    isItem: (value: string) => value is T,
    what: string,
  ): Selection<T> {
    const included = this.list(includedKey, isItem, what);
    return {
      included: included && new Set(included),
      excluded: new Set(this.list(excludedKey, isItem, what)),
    };
  }

  #own(key: string): JsonValue | undefined {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }
}

const badFilter = (path: string, problem: string): Error =>
  matrixError('M_BAD_JSON', `${path} ${problem}`);
