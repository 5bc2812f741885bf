/** The rules on `m.room.member`. A case names the sub-rule and expects its verdict per version. */
import type { JsonObject } from '../event.ts';
import { KNOWN_ROOM_VERSIONS } from '../room-versions.ts';
import { buildRoom, type RoomBuilder } from '../testing/room-builder.ts';
import { verdict } from '../testing/verdict.ts';

const ALICE = '@alice:alpha.test';
const BOB = '@bob:beta.test';
const CAROL = '@carol:gamma.test';
const DAVE = '@dave:delta.test';

describe.each(KNOWN_ROOM_VERSIONS)('in version %s', (version) => {
  const v = Number(version);
  const member = v >= 6 && v < 12 ? '4' : '5';
  // From version 8 on, rule 2 is on join_authorised_via_users_server.
  const shift = v >= 8 ? 1 : 0;
  const join = `${member}.${2 + shift}`;
  const invite = `${member}.${3 + shift}`;
  const leave = `${member}.${4 + shift}`;
  const ban = `${member}.${5 + shift}`;
  const knock = `${member}.${6 + shift}`;
  const unknown = `${member}.${6 + shift + (v >= 7 ? 1 : 0)}`;
  const notJoinable = `${join}.${v >= 8 ? 7 : 6}`;

  interface Attempt {
    readonly sender: string;
    readonly target?: string;
    readonly membership?: unknown;
    readonly content?: JsonObject;
    readonly alsoSignedBy?: readonly string[];
  }
  /** What is said of a membership event after what the room holds. */
  const attempt = (
    room: RoomBuilder,
    { sender, target = sender, membership, content = {}, alsoSignedBy = [] }: Attempt,
  ) => {
    const [before] = room.extremities;
    const event = room.send({
      type: 'm.room.member',
      sender,
      stateKey: target,
      content: {
        ...content,
        ...(membership !== undefined && { membership: membership as string }),
      },
      alsoSignedBy,
    });
    return verdict(event, room.rules, { createEvent: room.create, state: room.lookup(before) });
  };
  /** A room with Alice at the top, Bob at 50 and joined, Carol with a membership. */
  const make = (joinRule: string, carol?: string, powerLevels: JsonObject = {}) => {
    const users = { ...(v < 12 && { [ALICE]: 100 }), [BOB]: 50 };
    const room = buildRoom({ version, joinRule, powerLevels: { users, ...powerLevels } });
    room.member(BOB, 'join');
    if (carol !== undefined) room.member(CAROL, carol);
    return room;
  };

  it('.1: there are a state key and a membership', () => {
    const room = make('public');
    const [before] = room.extremities;
    const event = room.send({
      type: 'm.room.member',
      sender: BOB,
      content: { membership: 'join' },
    });
    const input = { createEvent: room.create, state: room.lookup(before) };
    expect(verdict(event, room.rules, input)).toBe(`${member}.1`);
    expect(attempt(room, { sender: CAROL })).toBe(`${member}.1`);
  });

  it('the last: the membership is a known one', () => {
    expect(attempt(make('public'), { sender: CAROL, membership: 'lurk' })).toBe(unknown);
    expect(attempt(make('public'), { sender: CAROL, membership: 1 })).toBe(unknown);
    expect(attempt(make('public'), { sender: CAROL, membership: null })).toBe(unknown);
  });

  describe('joining', () => {
    const membership = 'join';

    it('.1: the creator joins right after the create event', () => {
      const room = buildRoom({ version });
      const state = room.lookup(room.create);
      const input = { createEvent: room.create, state };
      const judge = (user: string) =>
        verdict(room.member(user, 'join', { prev: [room.create] }), room.rules, input);
      expect(judge(room.creator)).toBe('allow');
      expect(judge(BOB)).toBe(notJoinable);
      const later = room.member(room.creator, 'join', { prev: room.timeline.slice(1, 2) });
      expect(verdict(later, room.rules, input)).toBe(notJoinable);
    });

    it('.1: the creator is whom the version says', () => {
      const room = buildRoom({ version, createContent: { creator: BOB } });
      const input = { createEvent: room.create, state: room.lookup(room.create) };
      const judge = (user: string) =>
        verdict(room.member(user, 'join', { prev: [room.create] }), room.rules, input);
      expect(judge(BOB)).toBe(v <= 10 ? 'allow' : notJoinable);
      expect(judge(ALICE)).toBe(v <= 10 ? notJoinable : 'allow');
    });

    it('.1: additional creators do not join right away', () => {
      const room = buildRoom({ version, createContent: { additional_creators: [BOB] } });
      const input = { createEvent: room.create, state: room.lookup(room.create) };
      const event = room.member(BOB, 'join', { prev: [room.create] });
      expect(verdict(event, room.rules, input)).toBe(notJoinable);
    });

    it('.2: nobody joins for somebody else', () => {
      expect(attempt(make('public'), { sender: ALICE, target: CAROL, membership })).toBe(
        `${join}.2`,
      );
    });

    it('.3: who is banned stays out', () => {
      expect(attempt(make('public', 'ban'), { sender: CAROL, membership })).toBe(`${join}.3`);
    });

    // Per join rule, the first version that knows it, and the memberships that may join.
    it.each<[string, number, string[]]>([
      ['public', 1, ['none', 'invite', 'join', 'leave', 'knock']],
      ['invite', 1, ['invite', 'join']],
      ['knock', 7, ['invite', 'join']],
      ['restricted', 8, ['invite', 'join']],
      ['knock_restricted', 10, ['invite', 'join']],
      ['private', 99, []],
      ['unheard of', 99, []],
    ])('under the rule %s, known from version %d on, for %j', (rule, first, allowed) => {
      for (const before of ['none', 'invite', 'join', 'leave', 'knock']) {
        const room = make(rule, before === 'none' ? undefined : before);
        const isRestricted = rule.endsWith('restricted') && v >= first;
        const refused = isRestricted ? `${join}.5.2` : notJoinable;
        const expected = v >= first && allowed.includes(before) ? 'allow' : refused;
        expect([before, attempt(room, { sender: CAROL, membership })]).toEqual([before, expected]);
      }
    });

    it('without join rules needs an invite', () => {
      const room = buildRoom({ version });
      const before = room.lookup();
      const state = (type: string, stateKey: string) =>
        type === 'm.room.join_rules' ? undefined : before(type, stateKey);
      const input = { createEvent: room.create, state };
      expect(verdict(room.member(CAROL, 'join'), room.rules, input)).toBe(notJoinable);
    });
  });

  describe.each(['restricted', 'knock_restricted'])('joining under the rule %s', (rule) => {
    const isKnown = v >= (rule === 'restricted' ? 8 : 10);
    const via = (user: unknown) => ({ join_authorised_via_users_server: user as string });
    const joinVia = (room: RoomBuilder, user: unknown, alsoSignedBy: string[] = ['beta.test']) =>
      attempt(room, { sender: CAROL, membership: 'join', content: via(user), alsoSignedBy });

    it('is authorised by a member who may invite, whose server signs', () => {
      expect(joinVia(make(rule), BOB)).toBe(isKnown ? 'allow' : notJoinable);
      const strict = make(rule, undefined, { invite: 50 });
      expect(joinVia(strict, BOB)).toBe(isKnown ? 'allow' : notJoinable);
      expect(joinVia(strict, ALICE, ['alpha.test'])).toBe(isKnown ? 'allow' : notJoinable);
    });

    it('.2.1: without that signature is refused', () => {
      const expected = v >= 8 ? `${member}.2.1` : notJoinable;
      expect(joinVia(make(rule), BOB, [])).toBe(expected);
      expect(joinVia(make(rule, 'invite'), BOB, ['delta.test'])).toBe(
        v >= 8 ? `${member}.2.1` : notJoinable,
      );
      expect(joinVia(make(rule), 'bob')).toBe(expected);
      expect(joinVia(make(rule), 7)).toBe(expected);
    });

    it('.5.2: by somebody who may not invite, or is not there, is refused', () => {
      const expected = isKnown ? `${join}.5.2` : notJoinable;
      expect(joinVia(make(rule, undefined, { invite: 51 }), BOB)).toBe(expected);
      expect(joinVia(make(rule), DAVE, ['delta.test'])).toBe(expected);
      expect(joinVia(make(rule), CAROL, ['gamma.test'])).toBe(expected);
    });
  });

  it('.2.1: holds for every membership, and takes the caller’s word for signatures', () => {
    const content = { join_authorised_via_users_server: BOB };
    const expected = v >= 8 ? `${member}.2.1` : 'allow';
    expect(attempt(make('public', 'join'), { sender: CAROL, membership: 'leave', content })).toBe(
      expected,
    );
    const room = make('restricted');
    const [before] = room.extremities;
    const event = room.member(CAROL, 'join', { content, alsoSignedBy: ['beta.test'] });
    const input = { createEvent: room.create, state: room.lookup(before) };
    expect(verdict(event, room.rules, { ...input, isSignedBy: () => false })).toBe(
      v >= 8 ? `${member}.2.1` : notJoinable,
    );
  });

  describe('inviting', () => {
    const inviteBy = (room: RoomBuilder, sender: string) =>
      attempt(room, { sender, target: CAROL, membership: 'invite' });

    it('.2: needs a member', () => {
      expect(inviteBy(make('public'), DAVE)).toBe(`${invite}.2`);
    });

    it.each([
      ['none', 'allow'],
      ['leave', 'allow'],
      ['invite', 'allow'],
      ['knock', 'allow'],
      ['join', '.3'],
      ['ban', '.3'],
    ])('.3: somebody whose membership is %s: %s', (before, expected) => {
      const room = make('public', before === 'none' ? undefined : before);
      expect(inviteBy(room, BOB)).toBe(expected === 'allow' ? 'allow' : invite + expected);
    });

    it('.4: takes the invite level', () => {
      expect(inviteBy(make('public', undefined, { invite: 50 }), BOB)).toBe('allow');
      expect(inviteBy(make('public', undefined, { invite: 51 }), BOB)).toBe(`${invite}.5`);
    });
  });

  describe('leaving', () => {
    it.each(['none', 'invite', 'join', 'leave', 'ban', 'knock'])('.1: from %s', (before) => {
      const room = make('public', before === 'none' ? undefined : before);
      const mayLeave = ['invite', 'join', ...(v >= 7 ? ['knock'] : [])].includes(before);
      expect(attempt(room, { sender: CAROL, membership: 'leave' })).toBe(
        mayLeave ? 'allow' : `${leave}.1`,
      );
    });

    const kickBy = (room: RoomBuilder, sender: string, target = CAROL) =>
      attempt(room, { sender, target, membership: 'leave' });

    it('.2: is asked of others by members only', () => {
      expect(kickBy(make('public', 'join'), DAVE)).toBe(`${leave}.2`);
    });

    it('.3: after a ban takes the ban level too', () => {
      expect(kickBy(make('public', 'ban'), BOB)).toBe('allow');
      expect(kickBy(make('public', 'ban', { ban: 51 }), BOB)).toBe(`${leave}.3`);
    });

    it('.4: by force takes the kick level, and more than the other has', () => {
      expect(kickBy(make('public', 'join'), BOB)).toBe('allow');
      expect(kickBy(make('public', 'join', { kick: 51 }), BOB)).toBe(`${leave}.5`);
      expect(kickBy(make('public'), BOB, ALICE)).toBe(`${leave}.5`);
      const equals = make('public', 'join', { users: { [BOB]: 50, [CAROL]: 50 } });
      expect(kickBy(equals, BOB)).toBe(`${leave}.5`);
      expect(kickBy(make('public'), ALICE, BOB)).toBe('allow');
    });
  });

  describe('banning', () => {
    const banBy = (room: RoomBuilder, sender: string, target = CAROL) =>
      attempt(room, { sender, target, membership: 'ban' });

    it('.1: needs a member', () => {
      expect(banBy(make('public'), DAVE)).toBe(`${ban}.1`);
    });

    it('.2: takes the ban level, and more than the other has', () => {
      for (const before of [undefined, 'join', 'invite', 'leave', 'ban', 'knock']) {
        expect(banBy(make('public', before), BOB)).toBe('allow');
      }
      expect(banBy(make('public', 'join', { ban: 51 }), BOB)).toBe(`${ban}.3`);
      expect(banBy(make('public'), BOB, ALICE)).toBe(`${ban}.3`);
      expect(banBy(make('public'), BOB, BOB)).toBe(`${ban}.3`);
    });
  });

  describe('knocking', () => {
    const membership = 'knock';
    const orUnknown = (expected: string) => (v >= 7 ? expected : unknown);

    it('.1: is for rooms that take knocks', () => {
      for (const rule of ['public', 'invite', 'restricted', 'private']) {
        expect(attempt(make(rule), { sender: CAROL, membership })).toBe(orUnknown(`${knock}.1`));
      }
      expect(attempt(make('knock'), { sender: CAROL, membership })).toBe(orUnknown('allow'));
      expect(attempt(make('knock_restricted'), { sender: CAROL, membership })).toBe(
        orUnknown(v >= 10 ? 'allow' : `${knock}.1`),
      );
    });

    it('.2: is for oneself', () => {
      expect(attempt(make('knock'), { sender: BOB, target: CAROL, membership })).toBe(
        orUnknown(`${knock}.2`),
      );
    });

    it.each([
      ['leave', true],
      ['knock', true],
      ['ban', false],
      ['invite', false],
      ['join', false],
    ])('.3: from %s: %s', (before, isAllowed) => {
      expect(attempt(make('knock', before), { sender: CAROL, membership })).toBe(
        orUnknown(isAllowed ? 'allow' : `${knock}.4`),
      );
    });
  });
});
