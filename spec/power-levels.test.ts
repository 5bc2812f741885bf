import type { JsonObject, JsonValue } from './event.ts';
import {
  creatorsOf,
  LEVEL_DEFAULTS,
  type LevelName,
  PowerLevels,
  readLevel,
} from './power-levels.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from './room-versions.ts';
import { RoomBuilder } from './testing/room-builder.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';
const rulesFor = (version: string) => rulesOf(version) as RoomVersionRules;
const levels = (version: string, content: JsonObject | undefined) =>
  new PowerLevels(content, new Set([ALICE]), rulesFor(version));

describe('without an event', () => {
  it.each(KNOWN_ROOM_VERSIONS)('the creator stands above the others in version %s', (version) => {
    const none = levels(version, undefined);
    expect(none.ofUser(ALICE)).toBe(version === '12' ? Number.POSITIVE_INFINITY : 100);
    expect(none.ofUser(BOB)).toBe(0);
    expect(none.requiredFor('m.room.message', false)).toBe(0);
    expect(none.requiredFor('m.room.topic', true)).toBe(50);
    expect(none.requiredForNotification('room')).toBe(50);
    for (const name of Object.keys(LEVEL_DEFAULTS) as LevelName[]) {
      expect(none.level(name)).toBe(LEVEL_DEFAULTS[name]);
    }
  });
});

describe('with an event', () => {
  const content = {
    users: { [BOB]: 60, constructor: 99 },
    users_default: 5,
    events: { 'm.room.topic': 70, 'm.special': 1 },
    events_default: 7,
    state_default: 40,
    ban: 61,
    kick: 60,
    invite: 6,
    redact: 59,
    notifications: { room: 20 },
  };
  const some = levels('11', content);

  it('what it says holds', () => {
    expect(some.ofUser(BOB)).toBe(60);
    expect(some.ofUser('@other:x')).toBe(5);
    expect(some.requiredFor('m.room.topic', true)).toBe(70);
    expect(some.requiredFor('m.special', true)).toBe(1);
    expect(some.requiredFor('m.room.name', true)).toBe(40);
    expect(some.requiredFor('m.room.message', false)).toBe(7);
    expect(some.requiredForNotification('room')).toBe(20);
    expect(some.requiredForNotification('other')).toBe(50);
  });

  it('the creator is no longer special before version 12', () => {
    expect(some.ofUser(ALICE)).toBe(5);
    expect(levels('12', content).ofUser(ALICE)).toBe(Number.POSITIVE_INFINITY);
  });

  it('who may do what follows', () => {
    expect(some.canSend(BOB, 'm.room.name', true)).toBe(true);
    expect(some.canSend(BOB, 'm.room.topic', true)).toBe(false);
    expect(some.canInvite(BOB)).toBe(true);
    expect(some.canInvite(ALICE)).toBe(false);
    expect(some.canKick(BOB, ALICE)).toBe(true);
    expect(some.canKick(BOB, BOB)).toBe(false);
    expect(some.canBan(BOB, ALICE)).toBe(false);
    expect(some.canRedact(BOB)).toBe(true);
  });

  it('names of properties of Object are nobody', () => {
    expect(some.ofUser('toString')).toBe(5);
    expect(levels('11', { users: [] }).ofUser('length')).toBe(0);
    expect(some.requiredFor('__proto__', false)).toBe(7);
  });
});

// https://spec.matrix.org/v1.19/rooms/v1/#deprecated-event-content-schemas
it.each<[JsonValue, [v1: number | undefined, v6: number | undefined, v10: number | undefined]]>([
  [50, [50, 50, 50]],
  [-1, [-1, -1, -1]],
  [50.57, [50, undefined, undefined]],
  [-50.57, [-50, undefined, undefined]],
  [5.114698e4, [51146, undefined, undefined]],
  ['100', [100, 100, undefined]],
  ['000100', [100, 100, undefined]],
  ['+100', [100, 100, undefined]],
  ['-100', [-100, -100, undefined]],
  [' 00100 ', [100, 100, undefined]],
  ['\t-100\n', [-100, -100, undefined]],
  ['', [undefined, undefined, undefined]],
  [' ', [undefined, undefined, undefined]],
  ['1.5', [undefined, undefined, undefined]],
  ['1e2', [undefined, undefined, undefined]],
  ['+-1', [undefined, undefined, undefined]],
  ['0x10', [undefined, undefined, undefined]],
  ['Infinity', [undefined, undefined, undefined]],
  ['9'.repeat(400), [undefined, undefined, undefined]],
  [Number.POSITIVE_INFINITY, [undefined, undefined, undefined]],
  [null, [undefined, undefined, undefined]],
  [true, [undefined, undefined, undefined]],
  [[], [undefined, undefined, undefined]],
  [{}, [undefined, undefined, undefined]],
])('the level %j is read as %j in versions 1, 6 and 10', (value, expected) => {
  expect(['1', '6', '10'].map((v) => readLevel(value, rulesFor(v).powerLevels))).toEqual(expected);
});

describe('creators', () => {
  it.each([
    ['10', [BOB]],
    ['11', [ALICE]],
    ['12', [ALICE, BOB, '@carol:x']],
  ])('of version %s are %j', (version, creators) => {
    const room = new RoomBuilder({
      version,
      createContent: { creator: BOB, additional_creators: [BOB, '@carol:x'] },
    });
    expect([...creatorsOf(room.create, room.rules)]).toEqual(creators);
  });
});
