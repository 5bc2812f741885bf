/** The rules on events in general. Memberships and power levels have test files of their own. */
import type { JsonObject, MatrixEvent } from '../event.ts';
import type { EventId, RoomId } from '../identifiers.ts';
import { KNOWN_ROOM_VERSIONS } from '../room-versions.ts';
import { buildRoom, RoomBuilder } from '../testing/room-builder.ts';
import { verdict } from '../testing/verdict.ts';
import { authoriseEvent, rejectionOf } from './authorise-event.ts';
import { EventRejected } from './event-rejected.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';

/** What a rule is numbered in each version, from the first in which it has that number. */
const numberIn = (version: string, numbers: Record<number, string>): string => {
  const from = Object.keys(numbers)
    .map(Number)
    .filter((first) => first <= Number(version))
    .at(-1);
  return numbers[from ?? 0] ?? 'allow';
};

describe.each(KNOWN_ROOM_VERSIONS)('create events of version %s', (version) => {
  const create = (content: JsonObject = {}) =>
    new RoomBuilder({ version, createContent: content }).create;
  const judge = (event: MatrixEvent) => {
    const { rules } = new RoomBuilder({ version });
    return verdict(event, rules, { createEvent: undefined, state: () => undefined });
  };

  it('are allowed', () => {
    expect(judge(create())).toBe('allow');
    expect(judge(create({ room_version: undefined }))).toBe('allow');
  });

  it('1.1: follow no other event', () => {
    expect(judge({ ...create(), prevEventIds: ['$x' as EventId] })).toBe('1.1');
  });

  it('1.2: have a room id of the domain of their sender, or none', () => {
    const event = create();
    const roomId = '!room:beta.test' as RoomId;
    expect(judge({ ...event, roomId, pdu: { ...event.pdu, room_id: roomId } })).toBe('1.2');
  });

  it('1.3: name a known room version, if any', () => {
    expect(judge(create({ room_version: 'unknown' }))).toBe('1.3');
    expect(judge(create({ room_version: 12 }))).toBe('1.3');
  });

  it('1.4: name their creator up to version 10', () => {
    const expected = Number(version) <= 10 ? '1.4' : 'allow';
    expect(judge(create({ creator: undefined }))).toBe(expected);
  });

  it.each<[JsonObject['x'], boolean]>([
    [[], true],
    [[BOB, '@Historical Ü:x'], true],
    ['text', false],
    [null, false],
    [[1], false],
    [['bob'], false],
    [[BOB, '@bob'], false],
  ])('1.4: may name the additional creators %j in version 12: %j', (value, isRight) => {
    const expected = version === '12' && !isRight ? '1.4' : 'allow';
    expect(judge(create({ additional_creators: value }))).toBe(expected);
  });
});

describe.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
  const make = (options: Parameters<typeof buildRoom>[0] = {}) => {
    const room = buildRoom({ version, ...options });
    room.member(BOB, 'join');
    return room;
  };
  const judge = (room: RoomBuilder, event: MatrixEvent, before: MatrixEvent | undefined) =>
    verdict(event, room.rules, { createEvent: room.create, state: room.lookup(before) });
  /** Sends an event and judges it by the state before. */
  const tryTo = (room: RoomBuilder, options: Parameters<RoomBuilder['send']>[0]) => {
    const [before] = room.extremities;
    return judge(room, room.send(options), before);
  };

  it('the room has a create event, and the event is of that room', () => {
    const room = make();
    const message = room.message(BOB);
    const other = make({ name: 'other' });
    const state = room.lookup();
    const missing = numberIn(version, { 1: '2.4', 12: '2' });
    const foreign = numberIn(version, { 1: '2.5', 12: '2' });
    expect(verdict(message, room.rules, { createEvent: undefined, state })).toBe(missing);
    expect(verdict(message, room.rules, { createEvent: other.create, state })).toBe(foreign);
  });

  it('rooms that are not federated are for users of one server', () => {
    const room = make({ createContent: { 'm.federate': false } });
    expect(tryTo(room, { type: 'm.room.message', sender: BOB })).toBe(
      numberIn(version, { 1: '3', 12: '4' }),
    );
    expect(tryTo(room, { type: 'm.room.message', sender: ALICE })).toBe('allow');
    const open = make({ createContent: { 'm.federate': 'false' } });
    expect(tryTo(open, { type: 'm.room.message', sender: BOB })).toBe('allow');
  });

  it('aliases are their server’s own business up to version 5', () => {
    const room = make();
    const type = 'm.room.aliases';
    const tooWeak = numberIn(version, { 6: '7', 12: '8' });
    const judgeBy = (sender: string, stateKey?: string) =>
      tryTo(room, { type, sender, ...(stateKey !== undefined && { stateKey }) });
    expect(judgeBy('@stranger:beta.test', 'beta.test')).toBe(
      numberIn(version, { 1: 'allow', 6: '5', 12: '6' }),
    );
    expect(judgeBy(BOB, 'beta.test')).toBe(numberIn(version, { 1: 'allow', 6: tooWeak }));
    expect(judgeBy(BOB, 'alpha.test')).toBe(numberIn(version, { 1: '4.2', 6: tooWeak }));
    expect(judgeBy(BOB)).toBe(numberIn(version, { 1: '4.1', 6: 'allow' }));
  });

  it('who is not joined sends nothing', () => {
    const room = make();
    const expected = numberIn(version, { 1: '6', 6: '5', 12: '6' });
    for (const membership of ['invite', 'leave', 'ban', 'knock']) {
      room.member('@carol:x', membership);
      expect(tryTo(room, { type: 'm.room.message', sender: '@carol:x' })).toBe(expected);
    }
    expect(tryTo(room, { type: 'm.room.message', sender: '@stranger:x' })).toBe(expected);
  });

  it('third-party invites take the level of inviting', () => {
    const room = make({ powerLevels: { invite: 10, users: { [BOB]: 10, '@carol:x': 9 } } });
    room.member('@carol:x', 'join');
    const invite = { type: 'm.room.third_party_invite', stateKey: 'token' };
    expect(tryTo(room, { ...invite, sender: BOB })).toBe('allow');
    expect(tryTo(room, { ...invite, sender: '@carol:x' })).toBe(
      numberIn(version, { 1: '7.1', 6: '6.1', 12: '7.1' }),
    );
  });

  it('each type of event takes its level', () => {
    const room = make({
      powerLevels: {
        users: { [BOB]: 10 },
        events: { 'm.room.topic': 10, custom: 11 },
        events_default: 10,
        state_default: 11,
      },
    });
    const tooWeak = numberIn(version, { 1: '8', 6: '7', 12: '8' });
    const sender = BOB;
    expect(tryTo(room, { type: 'm.room.message', sender })).toBe('allow');
    expect(tryTo(room, { type: 'custom', sender })).toBe(tooWeak);
    expect(tryTo(room, { type: 'm.room.topic', stateKey: '', sender })).toBe('allow');
    expect(tryTo(room, { type: 'm.room.name', stateKey: '', sender })).toBe(tooWeak);
    expect(tryTo(room, { type: 'm.room.name', sender })).toBe('allow');
  });

  it('a state key that names a user is theirs', () => {
    const room = make({ powerLevels: { state_default: 0 } });
    const expected = numberIn(version, { 1: '9', 6: '8', 12: '9' });
    expect(tryTo(room, { type: 'custom', stateKey: BOB, sender: BOB })).toBe('allow');
    expect(tryTo(room, { type: 'custom', stateKey: ALICE, sender: BOB })).toBe(expected);
    expect(tryTo(room, { type: 'custom', stateKey: '@', sender: BOB })).toBe(expected);
    expect(tryTo(room, { type: 'custom', stateKey: `_${ALICE}`, sender: BOB })).toBe('allow');
  });

  it('redactions take the redact level, or the same domain, in versions 1 and 2', () => {
    const room = make({ powerLevels: { users: { '@mod:x': 50 } } });
    room.member('@mod:x', 'join');
    const ofAlice = room.message(ALICE);
    const ofBob = room.message(BOB);
    const redact = (sender: string, redacts: EventId | undefined) =>
      tryTo(room, {
        type: 'm.room.redaction',
        sender,
        ...(redacts !== undefined && { redacts, content: { redacts } }),
      });
    const refused = numberIn(version, { 1: '11.3', 3: 'allow' });
    expect(redact('@mod:x', ofAlice.eventId)).toBe('allow');
    expect(redact(BOB, ofBob.eventId)).toBe('allow');
    expect(redact(BOB, ofAlice.eventId)).toBe(refused);
    expect(redact(BOB, undefined)).toBe(refused);
  });
});

it('a failure is told as an error with its rule', () => {
  const room = buildRoom();
  const message = room.message('@stranger:x');
  const input = { createEvent: room.create, state: room.lookup() };
  expect(() => authoriseEvent(message, room.rules, input)).toThrow(EventRejected);
  expect(rejectionOf(message, room.rules, input)).toMatchObject({ rule: '6' });
  expect(rejectionOf(room.message(ALICE), room.rules, input)).toBeUndefined();
});

it('errors that are no rejections are not hidden', () => {
  const room = buildRoom();
  const state = () => {
    throw new RangeError('storage failed');
  };
  expect(() =>
    rejectionOf(room.message(ALICE), room.rules, { createEvent: room.create, state }),
  ).toThrow(RangeError);
});
