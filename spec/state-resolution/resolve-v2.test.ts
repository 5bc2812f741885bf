import { type StateMap, stateKeyOf } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import { MissingEventsError } from './event-source.ts';
import { ForkedRoom, userIdOf } from './testing/forked-room.ts';

const V2_AND_LATER = ['2', '3', '6', '8', '10', '11', '12'];

describe.each(V2_AND_LATER)('in room version %s', (version) => {
  let room: ForkedRoom;
  beforeEach(() => {
    room = new ForkedRoom(version);
  });

  it('a ban holds against what the banned moderator did meanwhile', async () => {
    const alices = room.createPublic({ mallory: 50 });
    alices.member('mallory', 'join');
    const mallorys = alices.fork();
    alices.member('alice', 'ban', { target: 'mallory' });
    mallorys.topic('mallory', 'all yours');
    mallorys.member('mallory', 'ban', { target: 'bob' });

    const merged = await room.merge(alices, mallorys);
    expect(merged.membership('mallory')).toBe('ban');
    // Both are bans, but Alice's counts first, since she has more power.
    expect(merged.membership('bob')).toBeUndefined();
    expect(merged.get('m.room.topic')).toBeUndefined();
  });

  it('a ban is not evaded by leaving and joining again on another branch', async () => {
    const alices = room.createPublic();
    alices.member('mallory', 'join');
    const mallorys = alices.fork();
    alices.member('alice', 'ban', { target: 'mallory' });
    mallorys.member('mallory', 'leave');
    mallorys.member('mallory', 'join');

    expect((await room.merge(alices, mallorys)).membership('mallory')).toBe('ban');
  });

  it('of two changes of the power levels, the one of less power must fit the other', async () => {
    const alices = room.createPublic({ bob: 50 });
    alices.member('bob', 'join');
    const bobs = alices.fork();
    const demotion = alices.powerLevels('alice', { bob: 0 });
    bobs.powerLevels('bob', { bob: 50, carol: 50 }, { originServerTs: 1 });

    const merged = await room.merge(alices, bobs);
    expect(merged.get('m.room.power_levels')).toBe(demotion);
  });

  it('of two changes by the same person the later stands', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const later = one.powerLevels('alice', { bob: 10 }, { originServerTs: 9_000_000 });
    other.powerLevels('alice', { carol: 10 }, { originServerTs: 8_000_000 });

    expect((await room.merge(one, other)).get('m.room.power_levels')).toBe(later);
  });

  it('of two changes at the same time the one with the greater id stands', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const at = { originServerTs: 9_000_000 };
    one.powerLevels('alice', { bob: 10 }, { ...at, id: 'Z' });
    const greater = other.powerLevels('alice', { carol: 10 }, { ...at, id: 'a' });

    expect((await room.merge(one, other)).get('m.room.power_levels')).toBe(greater);
  });

  it('closing the room shuts out whoever joined meanwhile', async () => {
    const alices = room.createPublic();
    const elsewhere = alices.fork();
    alices.joinRule('alice', 'invite');
    elsewhere.member('bob', 'join');

    const merged = await room.merge(alices, elsewhere);
    expect(merged.get('m.room.join_rules')?.content['join_rule']).toBe('invite');
    expect(merged.membership('bob')).toBeUndefined();
  });

  it('closing the room leaves those in it who were there before', async () => {
    const alices = room.createPublic();
    alices.member('bob', 'join');
    const elsewhere = alices.fork();
    alices.joinRule('alice', 'invite');
    elsewhere.member('bob', 'join');

    expect((await room.merge(alices, elsewhere)).membership('bob')).toBe('join');
  });

  it('a topic set under newer power levels stands, whatever the clocks say', async () => {
    const one = room.createPublic();
    const other = one.fork();
    one.powerLevels('alice', { bob: 10 });
    const newer = one.topic('alice', 'newer', { originServerTs: 1 });
    other.topic('alice', 'older', { originServerTs: 9_000_000 });

    expect((await room.merge(one, other)).get('m.room.topic')).toBe(newer);
  });

  it('under the same power levels the later topic stands', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const later = one.topic('alice', 'later', { originServerTs: 9_000_000 });
    other.topic('alice', 'earlier', { originServerTs: 8_000_000 });

    expect((await room.merge(one, other)).get('m.room.topic')).toBe(later);
  });

  it('a kick undoes what depends on the membership', async () => {
    const alices = room.createPublic({ bob: 50 });
    alices.member('bob', 'join');
    const bobs = alices.fork();
    alices.member('alice', 'leave', { target: 'bob' });
    bobs.topic('bob', 'bob was here');

    const merged = await room.merge(alices, bobs);
    expect(merged.membership('bob')).toBe('leave');
    expect(merged.get('m.room.topic')).toBeUndefined();
  });

  it('leaving by oneself is no power event: the join of another branch is not undone', async () => {
    const one = room.createPublic();
    one.member('bob', 'join');
    const other = one.fork();
    one.member('bob', 'leave', { originServerTs: 8_000_000 });
    other.member('bob', 'join', { originServerTs: 9_000_000 });

    expect((await room.merge(one, other)).membership('bob')).toBe('join');
  });

  it('three branches resolve at once', async () => {
    const one = room.createPublic({ bob: 50 });
    one.member('bob', 'join');
    const [two, three] = [one.fork(), one.fork()];
    one.powerLevels('alice', { bob: 0 });
    two.topic('bob', 'from two');
    three.member('carol', 'join');

    const merged = await room.merge(one, two, three);
    expect(merged.get('m.room.topic')).toBeUndefined();
    expect(merged.membership('carol')).toBe('join');
  });

  it('events known to be missing are named', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const topic = one.topic('alice', 'one');
    other.topic('alice', 'other');
    room.events.delete(topic.eventId);

    const error = await room.merge(one, other).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MissingEventsError);
    expect((error as MissingEventsError).eventIds).toEqual([topic.eventId]);
  });
});

/**
 * The two ways of losing settled state that version 2.1 of the algorithm ends. The other branch is
 * what a server believes that was given a stale state when it joined.
 */
describe('a server with a stale state', () => {
  const afterAliceLeft = async (version: string) => {
    const room = new ForkedRoom(version);
    const current = room.createPublic({ bob: 50 });
    const stalePowerLevels = current.get('m.room.power_levels')!;
    current.member('bob', 'join');
    const powerLevels = current.powerLevels('alice', { bob: 60 });
    current.member('alice', 'leave');
    const stale = current.fork().put(stalePowerLevels);
    return { powerLevels, merged: await room.merge(current, stale) };
  };

  it('takes away the power levels in version 11 once their author has left', async () => {
    const { merged } = await afterAliceLeft('11');
    // Checked in a state in which Alice is gone, nothing she sent is allowed.
    expect(merged.get('m.room.power_levels')).toBeUndefined();
  });

  it('does not in version 12', async () => {
    const { merged, powerLevels } = await afterAliceLeft('12');
    expect(merged.get('m.room.power_levels')).toBe(powerLevels);
    expect(merged.membership('alice')).toBe('leave');
  });

  const afterBobRose = async (version: string) => {
    const room = new ForkedRoom(version);
    const current = room.createPublic({ bob: 50 });
    const stalePowerLevels = current.get('m.room.power_levels')!;
    current.member('bob', 'join');
    current.powerLevels('alice', { bob: 100 });
    // Both states rest on the levels that let Bob rise, so they are not in the auth difference.
    current.member('carol', 'join');
    const powerLevels = current.powerLevels('bob', { bob: 100, carol: 10 });
    const stale = current.fork().put(stalePowerLevels);
    return { powerLevels, stalePowerLevels, merged: await room.merge(current, stale) };
  };

  it('brings back old power levels in version 11 when those in between are settled', async () => {
    const { merged, stalePowerLevels } = await afterBobRose('11');
    expect(merged.get('m.room.power_levels')).toBe(stalePowerLevels);
  });

  it('does not in version 12, which replays those in between', async () => {
    const { merged, powerLevels } = await afterBobRose('12');
    expect(merged.get('m.room.power_levels')).toBe(powerLevels);
  });
});

describe('the creators of version 12', () => {
  it('come before anyone whom the power levels raise', async () => {
    const room = new ForkedRoom('12');
    const alices = room.createPublic({ bob: Number.MAX_SAFE_INTEGER });
    alices.member('bob', 'join');
    const bobs = alices.fork();
    const demotion = alices.powerLevels('alice', { bob: 0 }, { originServerTs: 9_000_000 });
    bobs.powerLevels('bob', { bob: Number.MAX_SAFE_INTEGER, carol: 100 });

    expect((await room.merge(alices, bobs)).get('m.room.power_levels')).toBe(demotion);
  });

  it('are all equal, so that time decides between them', async () => {
    const room = new ForkedRoom('12');
    const alices = room.create({ additional_creators: [userIdOf('bob')] });
    alices.send('alice', 'm.room.join_rules', '', { join_rule: 'public' });
    alices.member('bob', 'join');
    const bobs = alices.fork();
    alices.powerLevels('alice', { carol: 1 }, { originServerTs: 8_000_000 });
    const later = bobs.powerLevels('bob', { carol: 2 }, { originServerTs: 9_000_000 });

    expect((await room.merge(alices, bobs)).get('m.room.power_levels')).toBe(later);
  });
});

describe('rejected events', () => {
  it('authorise nothing by being listed as auth events', async () => {
    const room = new ForkedRoom('12');
    const one = room.createPublic({ bob: 50 });
    const join = one.member('bob', 'join');
    const other = one.fork();
    one.topic('bob', 'one');
    const later = other.topic('bob', 'other');

    expect((await room.merge(one, other)).get('m.room.topic')).toBe(later);
    room.rejected.add(join.eventId);
    expect((await room.merge(one, other)).get('m.room.topic')).toBeUndefined();
  });
});

describe('hostile auth chains', () => {
  const key = stateKeyOf('m.room.topic', '');
  const withTopic = (state: StateMap, eventId: EventId): StateMap =>
    new Map(state).set(key, eventId);

  it.each(['11', '12'])('may be very deep (version %s)', async (version) => {
    const room = new ForkedRoom(version);
    const base = room.createPublic();
    let levels = base.get('m.room.power_levels')!;
    const [create, join] = [
      base.get('m.room.create')!,
      base.get('m.room.member', userIdOf('alice'))!,
    ];
    const first = room.rules.roomIdIsCreateHash ? [join] : [create, join];
    for (let depth = 0; depth < 10_000; depth++) {
      levels = base.make('alice', 'm.room.power_levels', '', levels.content, {
        authEvents: [...first, levels],
      });
    }
    const [one, other] = [base.fork(), base.fork().put(levels)];
    one.topic('alice', 'shallow');
    const deep = other.topic('alice', 'deep');

    expect((await room.merge(one, other)).get('m.room.topic')).toBe(deep);
  });

  it.each(['2', '12'])('may run in circles (version %s)', async (version) => {
    const room = new ForkedRoom(version);
    const base = room.createPublic();
    const [one, other] = [base.fork(), base.fork()];
    const levels = { users: { [userIdOf('alice')]: 100 } };
    const a = one.make('alice', 'm.room.power_levels', '', levels);
    const b = other.make('alice', 'm.room.power_levels', '', levels);
    const [topicA, topicB] = [
      one.make('alice', 'm.room.topic', '', { topic: 'a' }),
      other.make('alice', 'm.room.topic', '', { topic: 'b' }),
    ];
    for (const [event, cited] of [
      [a, [b]],
      [b, [a]],
      [topicA, [a, topicB]],
      [topicB, [b, topicA]],
    ] as const) {
      const authEventIds = [...event.authEventIds, ...cited.map(({ eventId }) => eventId)];
      room.events.set(event.eventId, { ...event, authEventIds });
    }
    const states = [
      one.put(a, topicA).state,
      other.put(b, topicB).state,
      withTopic(one.state, topicB.eventId),
    ];
    const resolved = await room.resolve(...states);
    expect(await room.resolve(...states.toReversed())).toEqual(resolved);
  });

  it('cannot bring a message event into the state', async () => {
    const room = new ForkedRoom('11');
    const base = room.createPublic();
    const [one, other] = [base.fork(), base.fork()];
    const message = one.make('alice', 'm.room.message', '', { body: 'hello' });
    room.events.set(message.eventId, { ...message, stateKey: undefined });
    one.topic('alice', 'one', {
      authEvents: [
        base.get('m.room.create')!,
        base.get('m.room.power_levels')!,
        base.get('m.room.member', userIdOf('alice'))!,
        message,
      ],
    });
    other.topic('alice', 'other');

    const merged = await room.merge(one, other);
    expect(merged.get('m.room.topic')?.content['topic']).toBe('other');
    expect(merged.get('m.room.message')).toBeUndefined();
  });
});
