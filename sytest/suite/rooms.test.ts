/** Rooms and their state. https://spec.matrix.org/v1.19/client-server-api/#rooms */

import { refused } from '../lib/http.ts';
import type { Person } from '../lib/person.ts';
import { alpha, someone } from '../lib/world.ts';

describe('creating a room', () => {
  it.each([
    ['private_chat', 'invite', 'shared', 'can_join'],
    ['trusted_private_chat', 'invite', 'shared', 'can_join'],
    ['public_chat', 'public', 'shared', 'forbidden'],
  ] as const)('as %s sets its rules', async (preset, joinRule, visibility, guests) => {
    const alice = await someone('alice');
    const room = await alice.createsRoom({ preset });
    expect((await alice.reads(room, 'm.room.join_rules')).join_rule).toBe(joinRule);
    const history = await alice.reads(room, 'm.room.history_visibility');
    expect(history.history_visibility).toBe(visibility);
    const guestAccess = (await alice.state(room)).find((e) => e.type === 'm.room.guest_access');
    expect(guestAccess?.content.guest_access ?? 'forbidden').toBe(guests);
  });

  it.each(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'])(
    'in version %s works from creation to a second person talking',
    async (version) => {
      const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
      const room = await alice.createsRoom({ preset: 'public_chat', version });
      const create = await alice.reads(room, 'm.room.create');
      expect(create.room_version ?? '1').toBe(version);
      await bob.joins(room);
      const said = await bob.says(room, 'hello');
      await alice.sees(room, said);
    },
  );

  it('in version 12 makes an id of the create event, and creators beyond power levels', async () => {
    const [alice, bob, carol] = await Promise.all([
      someone('alice'),
      someone('bob'),
      someone('carol'),
    ]);
    const and = { creation_content: { additional_creators: [bob.id] } };
    const room = await alice.createsRoom({ preset: 'public_chat', version: '12', and });
    const create = (await alice.state(room)).find((event) => event.type === 'm.room.create')!;
    expect(room.slice(1)).toBe(create.event_id.slice(1));
    const levels = await alice.reads(room, 'm.room.power_levels');
    expect(levels.users?.[alice.id]).toBeUndefined();
    await Promise.all([bob.joins(room), carol.joins(room)]);
    const named = { ...levels, users: { ...levels.users, [bob.id]: 100 } };
    await expect(alice.sets(room, 'm.room.power_levels', named)).rejects.toMatchObject({
      errcode: expect.stringMatching(/^M_/),
    });
    await alice.sets(room, 'm.room.power_levels', { ...levels, users: { [carol.id]: 9_000 } });
    await refused(carol.kicks(bob, room), 403, 'M_FORBIDDEN');
    await bob.kicks(carol, room);
  });

  it('takes a name, a topic, further state and other powers', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom({
      name: 'Parlour',
      version: '11',
      and: {
        topic: 'tea',
        initial_state: [{ type: 'org.example.cup', state_key: 'left', content: { full: true } }],
        power_level_content_override: { events_default: 33 },
        creation_content: { 'm.federate': false, type: 'org.example.kind' },
      },
    });
    expect(await alice.reads(room, 'm.room.name')).toEqual({ name: 'Parlour' });
    expect((await alice.reads(room, 'm.room.topic')).topic).toBe('tea');
    expect(await alice.reads(room, 'org.example.cup', 'left')).toEqual({ full: true });
    const levels = await alice.reads(room, 'm.room.power_levels');
    expect(levels.events_default).toBe(33);
    expect(levels.users[alice.id]).toBe(100);
    const create = await alice.reads(room, 'm.room.create');
    expect(create).toMatchObject({ 'm.federate': false, type: 'org.example.kind' });
  });

  it('in a version that does not exist is refused', async () => {
    const alice = await someone('alice');
    await refused(alice.createsRoom({ version: '99' }), 400, 'M_UNSUPPORTED_ROOM_VERSION');
  });

  it('gives it an alias, which leads to it and is given only once', async () => {
    const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    const name = `parlour-${Math.random().toString(36).slice(2)}`;
    const and = { room_alias_name: name };
    const room = await alice.createsRoom({ preset: 'public_chat', and });
    expect(await bob.joins(`#${name}:${alpha.name}`)).toBe(room);
    await refused(bob.createsRoom({ and }), 400, 'M_ROOM_IN_USE');
  });
});

describe('state', () => {
  let alice: Person;
  let bob: Person;
  let room: string;

  beforeEach(async () => {
    [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    room = await alice.createsRoom({ preset: 'public_chat', version: '11' });
    await bob.joins(room);
  });

  it('is what was set last, one by one and as a whole', async () => {
    await alice.sets(room, 'm.room.topic', { topic: 'first' });
    const last = await alice.sets(room, 'm.room.topic', { topic: 'second' });
    expect((await bob.reads(room, 'm.room.topic')).topic).toBe('second');
    const whole = await bob.state(room);
    const topics = whole.filter((event) => event.type === 'm.room.topic');
    expect(topics.map((event) => event.event_id)).toEqual([last]);
    const keys = whole.map((event) => `${event.type} ${event.state_key}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('that was never set is not found', async () => {
    await refused(bob.reads(room, 'org.example.nothing'), 404, 'M_NOT_FOUND');
  });

  it('needs power', async () => {
    await refused(bob.sets(room, 'm.room.topic', { topic: 'mine' }), 403, 'M_FORBIDDEN');
    const levels = await alice.reads(room, 'm.room.power_levels');
    await alice.sets(room, 'm.room.power_levels', {
      ...levels,
      events: { ...levels.events, 'm.room.topic': 0 },
    });
    await bob.sets(room, 'm.room.topic', { topic: 'mine now' });
  });

  it('whose key is a user id is that user’s own', async () => {
    const levels = await alice.reads(room, 'm.room.power_levels');
    await alice.sets(room, 'm.room.power_levels', { ...levels, state_default: 0 });
    await bob.sets(room, 'org.example.hat', { colour: 'red' }, bob.id);
    await refused(bob.sets(room, 'org.example.hat', {}, alice.id), 403, 'M_FORBIDDEN');
  });

  it('is hidden from those outside', async () => {
    const stranger = await someone('stranger');
    await refused(stranger.state(room), 403, 'M_FORBIDDEN');
    await refused(stranger.reads(room, 'm.room.create'), 403, 'M_FORBIDDEN');
  });

  it('keeps the powerful from being overruled', async () => {
    const levels = await alice.reads(room, 'm.room.power_levels');
    const users = { ...levels.users, [bob.id]: 50 };
    await alice.sets(room, 'm.room.power_levels', { ...levels, users });
    const grab = { ...levels, users: { ...users, [bob.id]: 100 } };
    await refused(bob.sets(room, 'm.room.power_levels', grab), 403, 'M_FORBIDDEN');
    const demote = { ...levels, users: { ...users, [alice.id]: 0 } };
    await refused(bob.sets(room, 'm.room.power_levels', demote), 403, 'M_FORBIDDEN');
  });
});

describe('redacting', () => {
  it.each(['10', '11', '12'])('empties a message and says who did it (v%s)', async (version) => {
    const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    const room = await alice.createsRoom({ preset: 'public_chat', version });
    await bob.joins(room);
    const said = await bob.says(room, 'oh no');
    const redaction = await alice.redacts(room, said, 'language');
    const seen = await bob.sees(room, redaction);
    expect(seen.content.reason).toBe('language');
    const event = await bob.event(room, said);
    expect(event.content).toEqual({});
    expect(event.unsigned.redacted_because).toMatchObject({
      event_id: redaction,
      sender: alice.id,
      type: 'm.room.redaction',
    });
    const inHistory = (await bob.history(room)).find((each) => each.event_id === said);
    expect(inHistory?.content).toEqual({});
  });

  it('is for one’s own messages, or for those with the power', async () => {
    const [alice, bob, carol] = await Promise.all([
      someone('alice'),
      someone('bob'),
      someone('carol'),
    ]);
    const room = await alice.createsRoom({ preset: 'public_chat', version: '11' });
    await Promise.all([bob.joins(room), carol.joins(room)]);
    const said = await bob.says(room, 'mine');
    await refused(carol.redacts(room, said), 403, 'M_FORBIDDEN');
    await bob.redacts(room, said);
    expect((await carol.event(room, said)).content).toEqual({});
  });

  it('keeps what the room’s rules rest on', async () => {
    const alice = await someone('alice');
    const room = await alice.createsRoom({ preset: 'public_chat' });
    const rules = (await alice.state(room)).find((event) => event.type === 'm.room.join_rules')!;
    await alice.redacts(room, rules.event_id);
    expect((await alice.reads(room, 'm.room.join_rules')).join_rule).toBe('public');
  });
});

describe('history visibility', () => {
  const canRead = async (reader: Person, room: string) => {
    const history = await reader.history(room);
    return history.map((event) => event.content.body).filter((body) => body !== undefined);
  };

  it.each([
    ['shared', ['before', 'invited', 'joined']],
    ['invited', ['invited', 'joined']],
    ['joined', ['joined']],
  ])('%s shows a newcomer the right part', async (history_visibility, expected) => {
    const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    const initial_state = [
      { type: 'm.room.history_visibility', state_key: '', content: { history_visibility } },
    ];
    const room = await alice.createsRoom({ preset: 'private_chat', and: { initial_state } });
    await alice.says(room, 'before');
    await alice.invites(bob, room);
    await alice.says(room, 'invited');
    await bob.joins(room);
    await alice.says(room, 'joined');
    expect(await canRead(bob, room)).toEqual(expected);
  });

  it('world_readable shows it to anybody', async () => {
    const [alice, stranger] = await Promise.all([someone('alice'), someone('stranger')]);
    const initial_state = [
      {
        type: 'm.room.history_visibility',
        state_key: '',
        content: { history_visibility: 'world_readable' },
      },
    ];
    const room = await alice.createsRoom({ preset: 'public_chat', and: { initial_state } });
    await alice.says(room, 'hear, hear');
    expect(await canRead(stranger, room)).toEqual(['hear, hear']);
    expect((await stranger.reads(room, 'm.room.create')).room_version).toBeDefined();
  });
});

describe('lists of rooms and people', () => {
  it('tell which rooms one is in, and who is in a room', async () => {
    const [alice, bob] = await Promise.all([someone('alice'), someone('bob')]);
    const [one, two] = [
      await alice.createsRoom({ preset: 'public_chat' }),
      await alice.createsRoom({ preset: 'public_chat' }),
    ];
    await bob.joins(one);
    const { joined_rooms } = await alice.calls('GET', '/joined_rooms');
    expect(joined_rooms.sort()).toEqual([one, two].sort());
    const { joined } = await bob.calls('GET', `/rooms/${encodeURIComponent(one)}/joined_members`);
    expect(Object.keys(joined).sort()).toEqual([alice.id, bob.id].sort());
    const members = `/rooms/${encodeURIComponent(one)}/members`;
    const { chunk } = await bob.calls('GET', members, { query: { not_membership: 'join' } });
    expect(chunk).toEqual([]);
  });
});
