import type { RoomId } from '../../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
let carol: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob, carol] = ['alice', 'bob', 'carol'].map(test.person) as [Person, Person, Person];
});
afterAll(() => test.stop());

const statePath = (roomId: RoomId, rest = ''): string => `/rooms/${idsIn(roomId)}/state${rest}`;
const types = (events: { type: string }[]): string[] => events.map(({ type }) => type).sort();

describe('reading state', () => {
  it('gives members all of it, or one event by its content or whole', async () => {
    const roomId = await alice.createRoom({ name: 'first' });
    const all = await alice.get(statePath(roomId));
    expect(types(all.body)).toEqual([
      'm.room.create',
      'm.room.guest_access',
      'm.room.history_visibility',
      'm.room.join_rules',
      'm.room.member',
      'm.room.name',
      'm.room.power_levels',
    ]);
    for (const path of ['/m.room.name', '/m.room.name/']) {
      expect((await alice.get(statePath(roomId, path))).body).toEqual({ name: 'first' });
    }
    const whole = await alice.get(statePath(roomId, '/m.room.name?format=event'));
    expect(whole.body).toMatchObject({
      type: 'm.room.name',
      state_key: '',
      sender: alice.userId,
      room_id: roomId,
      content: { name: 'first' },
    });
    expect(await alice.get(statePath(roomId, '/m.room.name/x'))).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
    expect((await alice.get(statePath(roomId, '/m.room.name?format=x'))).status).toBe(400);
  });

  it('gives those who left the state as they left it', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'before' });
    await bob.join(roomId);
    await bob.post(`/rooms/${idsIn(roomId)}/leave`, {});
    await alice.post(`/rooms/${idsIn(roomId)}/ban`, { user_id: bob.userId });
    await alice.put(statePath(roomId, '/m.room.name'), { name: 'after' });
    expect((await bob.get(statePath(roomId, '/m.room.name'))).body).toEqual({ name: 'before' });
    const members = await bob.get(`/rooms/${idsIn(roomId)}/members`);
    expect(
      members.body.chunk.find((event: { state_key: string }) => event.state_key === bob.userId),
    ).toMatchObject({ content: { membership: 'leave' } });
    expect((await bob.get(`/rooms/${idsIn(roomId)}/joined_members`)).status).toBe(403);
  });

  it('gives strangers and the merely invited nothing, unless the world may read', async () => {
    const roomId = await alice.createRoom({ invite: [bob.userId] });
    for (const path of ['state', 'state/m.room.name', 'members', 'joined_members']) {
      for (const person of [bob, carol]) {
        const answer = await person.get(`/rooms/${idsIn(roomId)}/${path}`);
        expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
      }
    }
    await bob.post(`/rooms/${idsIn(roomId)}/leave`, {});
    expect((await bob.get(statePath(roomId))).status).toBe(403);
    await alice.put(statePath(roomId, '/m.room.history_visibility'), {
      history_visibility: 'world_readable',
    });
    expect((await carol.get(statePath(roomId))).status).toBe(200);
    expect((await carol.get('/rooms/!none:here.test/state')).status).toBe(403);
  });
});

describe('members', () => {
  it('can be filtered, and asked for as of another time', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', invite: [carol.userId] });
    const { next_batch: at } = (await alice.get('/sync?timeout=0')).body;
    await bob.join(roomId);
    const members = async (query: string): Promise<string[]> => {
      const { body } = await alice.get(`/rooms/${idsIn(roomId)}/members?${query}`);
      return body.chunk.map((event: { state_key: string }) => event.state_key).sort();
    };
    expect(await members('')).toEqual([alice.userId, bob.userId, carol.userId]);
    expect(await members('membership=join')).toEqual([alice.userId, bob.userId]);
    expect(await members('not_membership=join')).toEqual([carol.userId]);
    expect(await members('membership=leave&not_membership=invite')).toEqual([
      alice.userId,
      bob.userId,
    ]);
    expect(await members(`at=${at}`)).toEqual([alice.userId, carol.userId]);
    expect((await alice.get(`/rooms/${idsIn(roomId)}/members?at=x`)).status).toBe(400);
    expect((await alice.get(`/rooms/${idsIn(roomId)}/members?membership=x`)).status).toBe(400);
  });
});

describe('members at a place in the timeline', () => {
  it('are answered for every token this server gives out', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' });
    const path = `/rooms/${idsIn(roomId)}`;
    const oldest = await alice.get(`${path}/messages?dir=f&limit=1`);
    const newest = await alice.get(`${path}/messages?dir=b&limit=100`);
    const synced = await alice.get('/sync?timeout=0');
    const tokens = [
      oldest.body.start,
      oldest.body.end,
      newest.body.start,
      newest.body.end,
      synced.body.rooms.join[roomId].timeline.prev_batch,
    ];
    for (const at of tokens) {
      expect(await alice.get(`${path}/members?at=${at}`)).toMatchObject({ status: 200 });
    }
    expect((await alice.get(`${path}/members?at=${oldest.body.start}`)).body.chunk).toEqual([]);
  });

  it('are those of a time when one was there', async () => {
    const roomId = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
      ],
    });
    await carol.join(roomId);
    const { next_batch: at } = (await alice.get('/sync?timeout=0')).body;
    await carol.post(`/rooms/${idsIn(roomId)}/leave`, {});
    await bob.join(roomId);
    const { body } = await bob.get(`/rooms/${idsIn(roomId)}/members?at=${at}`);
    const memberships = body.chunk.map((event: { state_key: string; content: object }) => [
      event.state_key,
      event.content,
    ]);
    expect(Object.fromEntries(memberships)).toMatchObject({
      [carol.userId]: { membership: 'leave' },
      [bob.userId]: { membership: 'join' },
    });
  });
});

describe('setting state', () => {
  it('sends an event, and none where nothing changes', async () => {
    const roomId = await alice.createRoom({});
    const put = () => alice.put(statePath(roomId, '/org.example/key'), { a: [1] });
    const first = await put();
    expect(first.status).toBe(200);
    expect((await put()).body).toEqual(first.body);
    expect((await alice.get(statePath(roomId, '/org.example/key'))).body).toEqual({ a: [1] });
  });

  it('is for members with the power', async () => {
    const roomId = await alice.createRoom();
    const put = (person: Person, rest: string, body: unknown = {}) =>
      person.put(statePath(roomId, rest), body);
    expect((await put(bob, '/m.room.name', { name: 'x' })).body.errcode).toBe('M_FORBIDDEN');
    await bob.join(roomId);
    expect((await put(bob, '/m.room.name', { name: 'x' })).body.errcode).toBe('M_FORBIDDEN');
    expect((await put(alice, `/org.example/${bob.userId}`)).body.errcode).toBe('M_FORBIDDEN');
    expect((await put(alice, '/m.room.create')).body.errcode).toBe('M_FORBIDDEN');
    expect((await put(alice, '/org.example', 'no json')).body.errcode).toBe('M_NOT_JSON');
    expect((await put(alice, '/org.example', [])).body.errcode).toBe('M_BAD_JSON');
    expect((await put(alice, '/org.example', { x: 'x'.repeat(66_000) })).status).toBe(413);
    expect((await put(alice, '/org.example', { x: 1.5 })).body.errcode).toBe('M_BAD_JSON');
    expect((await alice.put('/rooms/!none:here.test/state/a', {})).body.errcode).toBe(
      'M_FORBIDDEN',
    );
  });

  it('says what is wrong with power levels that no room would have', async () => {
    const roomId = await alice.createRoom({ room_version: '12', preset: 'public_chat' });
    for (const content of [{ users: { [alice.userId]: 100 } }, { users: 'x' }, { ban: '50' }]) {
      const answer = await alice.put(statePath(roomId, '/m.room.power_levels'), content);
      expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
    }
    await bob.join(roomId);
    const refused = await bob.put(statePath(roomId, '/m.room.power_levels'), { ban: 50 });
    expect(refused).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
  });

  it('checks the aliases that a canonical alias adds', async () => {
    const roomId = await alice.createRoom({ room_alias_name: 'mine' });
    const other = await alice.createRoom({ room_alias_name: 'other' });
    const put = (content: object) =>
      alice.put(statePath(roomId, '/m.room.canonical_alias'), content);
    expect((await put({ alias: '#other:here.test' })).body.errcode).toBe('M_BAD_ALIAS');
    expect((await put({ alias: '#none:here.test' })).body.errcode).toBe('M_BAD_ALIAS');
    expect((await put({ alias: 'mine' })).body.errcode).toBe('M_INVALID_PARAM');
    expect((await put({ alt_aliases: ['x'] })).body.errcode).toBe('M_INVALID_PARAM');
    expect((await put({ alt_aliases: ['#mine:here.test'] })).status).toBe(200);
    await alice.delete('/directory/room/%23other:here.test');
    expect((await alice.get(statePath(other, '/m.room.canonical_alias'))).body).toEqual({});
  });

  it('follows the rules of membership for member events', async () => {
    const roomId = await alice.createRoom();
    const member = (person: Person, target: Person, content: object) =>
      person.put(statePath(roomId, `/m.room.member/${target.userId}`), content);
    expect((await member(bob, bob, { membership: 'join', displayname: 'B' })).status).toBe(200);
    expect((await alice.get(statePath(roomId, `/m.room.member/${bob.userId}`))).body).toEqual({
      membership: 'join',
      displayname: 'B',
    });
    expect((await member(bob, bob, { membership: 'join', displayname: 'C' })).status).toBe(200);
    expect((await member(alice, carol, { membership: 'invite' })).status).toBe(200);
    expect((await member(bob, alice, { membership: 'ban' })).body.errcode).toBe('M_FORBIDDEN');
    expect((await member(bob, bob, { membership: 'leave' })).status).toBe(200);
    expect((await member(alice, bob, { membership: 'bored' })).body.errcode).toBe('M_FORBIDDEN');
    expect(
      (await alice.put(statePath(roomId, '/m.room.member/x'), { membership: 'join' })).body.errcode,
    ).toBe('M_INVALID_PARAM');
  });
});
