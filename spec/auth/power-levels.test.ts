/** The rules on `m.room.power_levels`, by the sub-rule's name in the table of numbers. */
import type { JsonObject, JsonValue } from '../event.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from '../room-versions.ts';
import { buildRoom, RoomBuilder } from '../testing/room-builder.ts';
import { verdict } from '../testing/verdict.ts';
import { numberingOf, type PowerLevelRuleNumbers } from './event-rejected.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';
const CAROL = '@carol:gamma.test';

it('sub-rules are numbered as the pages of the versions number them', () => {
  const numbersOf = (version: string) => {
    const { rule, powerLevels } = numberingOf(rulesOf(version) as RoomVersionRules);
    const { users, noPrevious, levels, oldEntries, newEntries, oldUsers, newUsers } = powerLevels;
    return [
      rule.powerLevels,
      users,
      noPrevious,
      levels,
      oldEntries,
      newEntries,
      oldUsers,
      newUsers,
    ];
  };
  for (const version of KNOWN_ROOM_VERSIONS) {
    const v = Number(version);
    const first = v >= 10 ? 3 : 1;
    const second = first + (v >= 12 ? 2 : 1);
    expect(numbersOf(version)).toEqual([
      v >= 6 && v < 12 ? 9 : 10,
      first,
      ...[0, 1, 2, 3, 4, 5].map((i) => second + i),
    ]);
  }
});

describe.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
  const v = Number(version);
  const numbering = numberingOf(rulesOf(version) as RoomVersionRules);
  const rule = (name: keyof PowerLevelRuleNumbers, subRule?: number) =>
    [numbering.rule.powerLevels, numbering.powerLevels[name], subRule]
      .filter((number) => number !== undefined)
      .join('.');

  const users = { ...(v < 12 && { [ALICE]: 100 }), [BOB]: 50, [CAROL]: 50 };
  /** What is said when Bob, at 50, changes the power levels from one content to another. */
  const change = (before: JsonObject, after: JsonObject, sender = BOB) => {
    const room = buildRoom({ version });
    room.member(BOB, 'join');
    room.setState('m.room.power_levels', {
      users,
      events: { 'm.room.power_levels': 0 },
      ...before,
    });
    const [tip] = room.extremities;
    const event = room.setState(
      'm.room.power_levels',
      { users, events: { 'm.room.power_levels': 0 }, ...after },
      { sender },
    );
    return verdict(event, room.rules, { createEvent: room.create, state: room.lookup(tip) });
  };
  /** What is said of the first power levels of a room. */
  const first = (content: JsonObject) => {
    const room = new RoomBuilder({ version });
    const join = room.member(ALICE, 'join');
    const event = room.setState('m.room.power_levels', content);
    return verdict(event, room.rules, { createEvent: room.create, state: room.lookup(join) });
  };

  it('nothing may change', () => {
    expect(change({}, {})).toBe('allow');
    expect(first({})).toBe('allow');
    expect(first({ users: { [BOB]: 1_000 }, ban: 1_000, events: { x: 1_000 } })).toBe('allow');
  });

  // From version 6 on they never get past the event format.
  if (v < 6) {
    it('levels may be floats, which are truncated', () => {
      expect(first({ users: { [BOB]: 1.5 }, kick: 1.5 })).toBe('allow');
      expect(change({}, { kick: 50.9 })).toBe('allow');
      expect(change({ kick: 60.1 }, { kick: 60.2 })).toBe('allow');
      expect(change({ kick: 50.9 }, { kick: 51.1 })).toBe(rule('levels', 2));
    });
  }

  it.each<[JsonValue, [v1: boolean, v6: boolean, v10: boolean]]>([
    [1, [true, true, true]],
    [-1, [true, true, true]],
    ['1', [true, true, false]],
    [' +01 ', [true, true, false]],
    ['one', [false, false, false]],
    [null, [false, false, false]],
    [true, [false, false, false]],
    [[1], [false, false, false]],
  ])('the level %j is of the right type in versions 1, 6, 10: %j', (value, [v1, v6, v10]) => {
    const isRight = v >= 10 ? v10 : v >= 6 ? v6 : v1;
    expect(first({ users: { [BOB]: value } })).toBe(isRight ? 'allow' : rule('users'));
    const ofLevel = v >= 10 ? rule('levelTypes') : 'allow';
    expect(first({ kick: value })).toBe(isRight ? 'allow' : ofLevel);
    const ofMap = v >= 10 ? rule('mapTypes') : 'allow';
    expect(first({ events: { custom: value } })).toBe(isRight ? 'allow' : ofMap);
    expect(first({ notifications: { room: value } })).toBe(isRight ? 'allow' : ofMap);
    // What the first event may still say, no later one may bring in.
    if (!isRight && v < 10) {
      expect(change({}, { kick: value })).toBe(rule('levels'));
      expect(change({}, { events: { custom: value } })).toBe(rule('newEntries'));
    }
  });

  it.each(['text', 1, [], null, true])('maps are objects, unlike %j', (value) => {
    expect(first({ users: value })).toBe(rule('users'));
    expect(first({ events: value })).toBe(v >= 10 ? rule('mapTypes') : 'allow');
    expect(first({ notifications: value })).toBe(v >= 10 ? rule('mapTypes') : 'allow');
  });

  it('users are user ids', () => {
    for (const user of ['bob', '@bob', '', '#bob:x', 'constructor']) {
      expect(first({ users: { [user]: 1 } })).toBe(rule('users'));
    }
    expect(first({ users: { '@Historical Ü:x': 1, '@:x': 1 } })).toBe('allow');
  });

  it('creators are not listed where they stand above all', () => {
    const expected = v >= 12 ? rule('creators') : 'allow';
    expect(first({ users: { [ALICE]: 100 } })).toBe(expected);
    const room = new RoomBuilder({ version, createContent: { additional_creators: [BOB] } });
    const join = room.member(ALICE, 'join');
    const event = room.setState('m.room.power_levels', { users: { [BOB]: 1 } });
    expect(verdict(event, room.rules, { createEvent: room.create, state: room.lookup(join) })).toBe(
      expected,
    );
  });

  it.each(['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'])(
    '%s is changed within one’s own level',
    (name) => {
      expect(change({ [name]: 50 }, { [name]: 49 })).toBe('allow');
      expect(change({ [name]: 0 }, { [name]: 50 })).toBe('allow');
      expect(change({ [name]: 51 }, { [name]: 50 })).toBe(rule('levels', 1));
      expect(change({ [name]: 51 }, {})).toBe(rule('levels', 1));
      expect(change({ [name]: 51 }, { [name]: 51 })).toBe('allow');
      expect(change({ [name]: 50 }, { [name]: 51 })).toBe(rule('levels', 2));
      expect(change({}, { [name]: 51 })).toBe(rule('levels', 2));
      expect(change({}, { [name]: 50 })).toBe('allow');
      expect(change({ [name]: 50 }, {})).toBe('allow');
    },
  );

  it.each(['events', 'notifications'])(
    'entries of %s are changed within one’s own level',
    (map) => {
      const isChecked = map === 'events' || v >= 6;
      const withEntry = (level?: number) => ({
        [map]: {
          ...(map === 'events' && { 'm.room.power_levels': 0 }),
          ...(level !== undefined && { room: level }),
        },
      });
      const refused = (name: keyof PowerLevelRuleNumbers) => (isChecked ? rule(name, 1) : 'allow');
      expect(change(withEntry(50), withEntry(49))).toBe('allow');
      expect(change(withEntry(50), withEntry())).toBe('allow');
      expect(change(withEntry(), withEntry(50))).toBe('allow');
      expect(change(withEntry(51), withEntry(51))).toBe('allow');
      expect(change(withEntry(51), withEntry(50))).toBe(refused('oldEntries'));
      expect(change(withEntry(51), withEntry())).toBe(refused('oldEntries'));
      expect(change(withEntry(50), withEntry(51))).toBe(refused('newEntries'));
      expect(change(withEntry(), withEntry(51))).toBe(refused('newEntries'));
    },
  );

  it('users are changed only from below one’s own level, and not above it', () => {
    const withUsers = (changes: JsonObject) => ({ users: { ...users, ...changes } });
    const withoutCarol = {
      users: Object.fromEntries(Object.entries(users).filter(([u]) => u !== CAROL)),
    };
    const dave = '@dave:x';
    expect(change({}, withUsers({ [dave]: 50 }))).toBe('allow');
    expect(change({}, withUsers({ [dave]: 51 }))).toBe(rule('newUsers', 1));
    expect(change(withUsers({ [dave]: 49 }), withUsers({ [dave]: 0 }))).toBe('allow');
    expect(change(withUsers({ [dave]: 49 }), {})).toBe('allow');
    expect(change({}, withUsers({ [CAROL]: 49 }))).toBe(rule('oldUsers', 1));
    expect(change({}, withoutCarol)).toBe(rule('oldUsers', 1));
    // One's own level may go down, not up.
    expect(change({}, withUsers({ [BOB]: 10 }))).toBe('allow');
    expect(change({}, withUsers({ [BOB]: 51 }))).toBe(rule('newUsers', 1));
  });

  it('the strongest may do all of that', () => {
    const levels = { ban: 100, users: { ...users, [BOB]: 100 }, notifications: { room: 100 } };
    expect(change({}, levels, ALICE)).toBe('allow');
    expect(change({ users: { ...users, [BOB]: 99 } }, levels, ALICE)).toBe('allow');
    // Creators of version 12 are above any number; others are bound by theirs.
    const beyond = { ban: 101, users: { ...users, [BOB]: 2 ** 53 - 1 } };
    expect(change({}, beyond, ALICE)).toBe(v >= 12 ? 'allow' : rule('levels', 2));
  });
});

it.each(['1', '9'])('in version %s a level written otherwise is not a change', (version) => {
  const room = buildRoom({ version });
  room.member(BOB, 'join');
  const levels = (kick: JsonValue, other: JsonValue) => ({
    users: { [ALICE]: 100, [BOB]: 50, [CAROL]: other },
    events: { 'm.room.power_levels': 50, custom: other },
    kick,
  });
  const before = room.setState('m.room.power_levels', levels(60, 70));
  const event = room.setState('m.room.power_levels', levels(' 60', '+070'), { sender: BOB });
  const input = { createEvent: room.create, state: room.lookup(before) };
  expect(verdict(event, room.rules, input)).toBe('allow');
});
