import { type JsonObject, type MatrixEvent, splitStateKey } from '../event.ts';
import type { UserId } from '../identifiers.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from '../room-versions.ts';
import { buildRoom, type RoomBuilder } from '../testing/room-builder.ts';
import { checkAuthEvents, selectAuthKeys } from './auth-events.ts';
import { EventRejected } from './event-rejected.ts';

const ALICE = '@alice:alpha.test' as UserId;
const BOB = '@bob:beta.test';
const CAROL = '@carol:gamma.test';

// https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
describe('the selection', () => {
  const select = (version: string, type: string, stateKey?: string, content: JsonObject = {}) =>
    selectAuthKeys(
      { type, stateKey, sender: ALICE, content },
      rulesOf(version) as RoomVersionRules,
    ).map((key) => splitStateKey(key).join('|').replace('m.room.', ''));
  const always = ['power_levels|', `member|${ALICE}`];
  const thirdParty = (signed: JsonObject | string) => ({
    membership: 'invite',
    third_party_invite: { signed },
  });
  const via = { membership: 'join', join_authorised_via_users_server: BOB };

  it.each<[string, JsonObject, string[]]>([
    ['m.room.create', {}, []],
    ['m.room.message', {}, always],
    ['m.room.topic', via, always],
  ])('for %s', (type, content, expected) => {
    expect(select('12', type, '', content)).toEqual(expected);
    expect(select('11', type, '', content)).toEqual(
      expected.length > 0 ? ['create|', ...expected] : [],
    );
  });

  it.each<[string | undefined, JsonObject, string[]]>([
    [ALICE, { membership: 'join' }, ['join_rules|']],
    [ALICE, { membership: 'knock' }, ['join_rules|']],
    [BOB, { membership: 'invite' }, [`member|${BOB}`, 'join_rules|']],
    [ALICE, { membership: 'leave' }, []],
    [BOB, { membership: 'leave' }, [`member|${BOB}`]],
    [BOB, { membership: 'ban' }, [`member|${BOB}`]],
    [undefined, { membership: 'ban' }, []],
    [BOB, thirdParty({ token: 't' }), [`member|${BOB}`, 'join_rules|', 'third_party_invite|t']],
    [BOB, thirdParty({ token: 1 }), [`member|${BOB}`, 'join_rules|']],
    [BOB, thirdParty('text'), [`member|${BOB}`, 'join_rules|']],
    [BOB, { membership: 'invite', third_party_invite: null }, [`member|${BOB}`, 'join_rules|']],
    [BOB, { ...thirdParty({ token: 't' }), membership: 'ban' }, [`member|${BOB}`]],
    [ALICE, via, ['join_rules|', `member|${BOB}`]],
    [ALICE, { ...via, join_authorised_via_users_server: ALICE }, ['join_rules|']],
    [ALICE, { ...via, join_authorised_via_users_server: 1 }, ['join_rules|']],
    [BOB, { ...via, membership: 'invite' }, [`member|${BOB}`, 'join_rules|']],
  ])('for the membership of %s with %j', (target, content, more) => {
    expect(select('12', 'm.room.member', target, content)).toEqual([...always, ...more]);
  });

  it('knows authorised joins from version 8 on', () => {
    for (const version of KNOWN_ROOM_VERSIONS) {
      expect(select(version, 'm.room.member', ALICE, via).includes(`member|${BOB}`)).toBe(
        Number(version) >= 8,
      );
      expect(select(version, 'm.room.member', ALICE, via).includes('create|')).toBe(
        version !== '12',
      );
    }
  });
});

describe.each(KNOWN_ROOM_VERSIONS)('the list of version %s', (version) => {
  const rule = version === '12' ? '3' : '2';
  const room = buildRoom({ version });
  room.member(BOB, 'join');
  const bob = room.lookup()('m.room.member', BOB) as MatrixEvent;

  const check = (
    event: MatrixEvent,
    list: readonly MatrixEvent[],
    rejected?: MatrixEvent,
    { rules }: RoomBuilder = room,
  ): string => {
    try {
      const entries = list.map((auth) => ({ event: auth, rejected: auth === rejected }));
      checkAuthEvents(event, entries, rules);
      return 'allow';
    } catch (error) {
      if (error instanceof EventRejected) return error.rule;
      throw error;
    }
  };
  const message = room.message(BOB);
  const list = room.authEventsOf(message);

  it('is right as we make it', () => {
    for (const event of room.timeline) expect(check(event, room.authEventsOf(event))).toBe('allow');
    expect(list).toContain(bob);
  });

  it('.1: has no two events for one place', () => {
    expect(check(message, [...list, bob])).toBe(`${rule}.1`);
    const again = room.member(BOB, 'join');
    expect(check(message, [...list, again])).toBe(`${rule}.1`);
  });

  it('.2: has no events that do not authorise', () => {
    const topic = room.setState('m.room.topic', { topic: 'x' });
    const carol = room.member(CAROL, 'join');
    for (const stray of [topic, carol, message]) {
      expect(check(message, [...list, stray])).toBe(`${rule}.2`);
    }
    const expected = version === '12' ? '3.2' : 'allow';
    expect(check(message, [...new Set([...list, room.create])])).toBe(expected);
  });

  it('.3: has no rejected events', () => {
    for (const authEvent of list) expect(check(message, list, authEvent)).toBe(`${rule}.3`);
  });

  it('.4: has the create event up to version 11', () => {
    const without = list.filter((auth) => auth !== room.create);
    expect(check(message, without)).toBe(version === '12' ? 'allow' : '2.4');
    expect(check(message, [])).toBe(version === '12' ? 'allow' : '2.4');
  });

  it('has only events of the room', () => {
    const other = buildRoom({ version, name: 'other' });
    other.member(BOB, 'join');
    const foreign = other.lookup()('m.room.member', BOB) as MatrixEvent;
    const mixed = list.map((auth) => (auth === bob ? foreign : auth));
    expect(check(message, mixed)).toBe(version === '12' ? '3.4' : '2.5');
  });

  it('does not matter to create events', () => {
    expect(check(room.create, [message], message)).toBe('allow');
  });
});
