import { createHash } from 'node:crypto';
import { ForkedRoom, userIdOf } from './testing/forked-room.ts';

/** Two ids, that with the lower SHA-1 first. */
const [LOW, HIGH] = ['one', 'other'].sort((a, b) => (sha1(`$${a}`) < sha1(`$${b}`) ? -1 : 1));

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

let room: ForkedRoom;
beforeEach(() => {
  room = new ForkedRoom('1');
});

it.each([
  ['before', 5],
  ['after', 50],
])('a demotion holds against a change that was made %s it', async (_when, depth) => {
  const alices = room.createPublic({ bob: 50 });
  alices.member('bob', 'join');
  const bobs = alices.fork();
  const demotion = alices.powerLevels('alice', { bob: 0 }, { depth: 10 });
  bobs.powerLevels('bob', { bob: 50, carol: 50 }, { depth });

  expect((await room.merge(alices, bobs)).get('m.room.power_levels')).toBe(demotion);
});

it('of power levels at the same depth, the one with the lower SHA-1 has the last word', async () => {
  const one = room.createPublic();
  const other = one.fork();
  one.powerLevels('alice', { bob: 10 }, { depth: 10, id: HIGH! });
  const last = other.powerLevels('alice', { bob: 20 }, { depth: 10, id: LOW! });

  expect((await room.merge(one, other)).get('m.room.power_levels')).toBe(last);
});

it('power levels are followed up to the first that is not allowed', async () => {
  const base = room.createPublic({ bob: 50 });
  base.member('bob', 'join');
  const [one, two, three] = [base.fork(), base.fork(), base.fork()];
  const demotion = one.powerLevels('alice', { bob: 0 }, { depth: 10 });
  two.powerLevels('bob', { bob: 50, carol: 50 }, { depth: 11 });
  three.powerLevels('alice', { bob: 50, dave: 50 }, { depth: 12 });

  expect((await room.merge(one, two, three)).get('m.room.power_levels')).toBe(demotion);
});

it('a ban holds against a join, under the power levels agreed on before', async () => {
  const alices = room.createPublic({ bob: 50 });
  alices.member('bob', 'join');
  alices.member('carol', 'join', { depth: 5 });
  const carols = alices.fork();
  alices.powerLevels('alice', { bob: 60 }, { depth: 9 });
  alices.member('bob', 'ban', { target: 'carol', depth: 10 });
  carols.member('carol', 'join', { depth: 11 });
  carols.powerLevels('alice', { bob: 55 }, { depth: 8 });

  expect((await room.merge(alices, carols)).membership('carol')).toBe('ban');
});

it('a key that only one state has is no conflict', async () => {
  const one = room.createPublic();
  const other = one.fork();
  const topic = one.topic('alice', 'only here');
  other.member('bob', 'join');

  room.fetched = 0;
  const merged = await room.merge(one, other);
  expect(merged.get('m.room.topic')).toBe(topic);
  expect(merged.membership('bob')).toBe('join');
  expect(room.fetched).toBe(0);
});

describe('other conflicts go to the deepest event that is allowed', () => {
  it('by depth', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const deeper = one.topic('alice', 'deeper', { depth: 20 });
    other.topic('alice', 'higher up', { depth: 10 });
    expect((await room.merge(one, other)).get('m.room.topic')).toBe(deeper);
  });

  it('then by the lower SHA-1 of the id', async () => {
    const one = room.createPublic();
    const other = one.fork();
    const chosen = one.topic('alice', 'low', { depth: 20, id: LOW! });
    other.topic('alice', 'high', { depth: 20, id: HIGH! });
    expect((await room.merge(one, other)).get('m.room.topic')).toBe(chosen);
  });

  it('if it is allowed in the state resolved so far', async () => {
    const alices = room.createPublic({ bob: 50 });
    alices.member('bob', 'join', { depth: 5 });
    const bobs = alices.fork();
    const topic = alices.topic('alice', 'of alice', { depth: 10 });
    alices.member('alice', 'ban', { target: 'bob', depth: 11 });
    bobs.topic('bob', 'of bob', { depth: 20 });
    expect((await room.merge(alices, bobs)).get('m.room.topic')).toBe(topic);
  });

  it('or to the one of least depth if none is', async () => {
    const alices = room.createPublic({ bob: 50, carol: 50 });
    const bobs = alices.fork();
    const least = bobs.make('bob', 'm.room.topic', '', { topic: 'of bob' }, { depth: 10 });
    const deeper = bobs.make('carol', 'm.room.topic', '', { topic: 'of carol' }, { depth: 20 });
    expect((await room.merge(alices.put(deeper), bobs.put(least))).get('m.room.topic')).toBe(least);
  });
});

it('members are resolved independently of one another', async () => {
  const one = room.createPublic({ bob: 50 });
  one.member('bob', 'join');
  one.member('carol', 'join');
  const other = one.fork();
  one.member('alice', 'ban', { target: 'bob', depth: 20 });
  other.member('bob', 'ban', { target: 'carol', depth: 21 });

  // Bob's own membership is in conflict, so while members are resolved he is in no position to ban.
  const merged = await room.merge(one, other);
  expect(merged.membership('bob')).toBe('ban');
  expect(merged.membership('carol')).toBe('join');
  expect(merged.get('m.room.member', userIdOf('bob'))?.sender).toBe(userIdOf('alice'));
});
