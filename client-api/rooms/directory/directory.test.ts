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

const aliasPath = (alias: string): string => `/directory/room/${encodeURIComponent(alias)}`;

describe('aliases', () => {
  it('are given, resolved without a token, listed and taken away', async () => {
    const roomId = await alice.createRoom();
    expect(await alice.put(aliasPath('#a:here.test'), { room_id: roomId })).toMatchObject({
      status: 200,
      body: {},
    });
    const open = await test.server.request('GET', `/_matrix/client/v3${aliasPath('#a:here.test')}`);
    expect(open.body).toEqual({ room_id: roomId, servers: ['here.test'] });
    const aliases = `/rooms/${idsIn(roomId)}/aliases`;
    expect((await alice.get(aliases)).body).toEqual({ aliases: ['#a:here.test'] });
    expect((await bob.get(aliases)).body.errcode).toBe('M_FORBIDDEN');
    expect((await alice.delete(aliasPath('#a:here.test'))).body).toEqual({});
    expect(await alice.get(aliasPath('#a:here.test'))).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
    expect((await alice.delete(aliasPath('#a:here.test'))).status).toBe(404);
  });

  it('are refused when taken, foreign, malformed, or for rooms one is not in', async () => {
    const roomId = await alice.createRoom({ room_alias_name: 'taken' });
    const put = (person: Person, alias: string, room: string = roomId) =>
      person.put(aliasPath(alias), { room_id: room });
    expect(await put(alice, '#taken:here.test')).toMatchObject({
      status: 409,
      body: { errcode: 'M_UNKNOWN' },
    });
    expect((await put(alice, '#x:elsewhere.test')).body.errcode).toBe('M_INVALID_PARAM');
    expect((await put(alice, 'x')).body.errcode).toBe('M_INVALID_PARAM');
    expect((await put(bob, '#x:here.test')).body.errcode).toBe('M_FORBIDDEN');
    expect((await put(alice, '#x:here.test', '!none:here.test')).status).toBe(403);
    expect((await alice.get(aliasPath('#x:elsewhere.test'))).status).toBe(404);
    expect((await bob.delete(aliasPath('#taken:here.test'))).body.errcode).toBe('M_FORBIDDEN');
    expect((await alice.get(aliasPath('#taken:here.test'))).status).toBe(200);
  });
});

describe('the published room directory', () => {
  const listPath = (roomId: RoomId): string => `/directory/list/room/${idsIn(roomId)}`;

  it('is changed by those with the power', async () => {
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    expect((await bob.get(listPath(roomId))).body).toEqual({ visibility: 'private' });
    expect((await bob.put(listPath(roomId), {})).body.errcode).toBe('M_FORBIDDEN');
    expect((await carol.put(listPath(roomId), {})).body.errcode).toBe('M_FORBIDDEN');
    expect((await alice.put(listPath(roomId), {})).body).toEqual({});
    expect((await bob.get(listPath(roomId))).body).toEqual({ visibility: 'public' });
    expect((await alice.put(listPath(roomId), { visibility: 'x' })).status).toBe(400);
    await alice.put(listPath(roomId), { visibility: 'private' });
    expect((await bob.get(listPath(roomId))).body).toEqual({ visibility: 'private' });
    // Nobody is told whether there is a room.
    const none = listPath('!none:here.test' as RoomId);
    expect((await alice.get(none)).body).toEqual({ visibility: 'private' });
    expect((await carol.put(none, {})).body.errcode).toBe('M_FORBIDDEN');
  });

  it.each(['admins', 'nobody'] as const)('may be for %s to add to', async (publishers) => {
    const strict = await roomServer({ publishers });
    const [person, admin] = [strict.person('person'), strict.admin('admin')];
    const forbidden = { status: 403, body: { errcode: 'M_FORBIDDEN' } };
    const adds = publishers === 'admins' ? { status: 200 } : forbidden;
    const roomId = await person.createRoom();
    expect(await person.put(listPath(roomId), {})).toMatchObject(forbidden);
    expect(await admin.put(listPath(roomId), {})).toMatchObject(adds);
    // Even those who may not add may take away.
    expect((await person.put(listPath(roomId), { visibility: 'private' })).status).toBe(200);
    const made = { visibility: 'public', room_alias_name: 'made' };
    expect(await person.post('/createRoom', made)).toMatchObject(forbidden);
    // No room was made, nor the alias given away.
    expect((await person.get('/joined_rooms')).body.joined_rooms).toEqual([roomId]);
    expect((await person.get(aliasPath('#made:here.test'))).status).toBe(404);
    expect(await admin.post('/createRoom', made)).toMatchObject(adds);
    await strict.stop();
  });

  it('shows rooms by size, in pages, with what they say of themselves', async () => {
    const make = (name: string, more: object = {}) =>
      alice.createRoom({ visibility: 'public', name, ...more });
    const small = await make('Small', { topic: 'about nothing' });
    const large = await make('Large', { room_alias_name: 'large' });
    const space = await make('Space', { creation_content: { type: 'm.space' } });
    const left = await make('Left');
    await alice.post(`/rooms/${idsIn(left)}/leave`, {});
    for (const person of [bob, carol]) await person.join(large);
    await bob.join(space);
    const all = await test.server.request('GET', '/_matrix/client/v3/publicRooms');
    expect(all.body.total_room_count_estimate).toBe(3);
    expect(all.body.chunk).toEqual([
      {
        room_id: large,
        name: 'Large',
        canonical_alias: '#large:here.test',
        num_joined_members: 3,
        join_rule: 'public',
        guest_can_join: false,
        world_readable: false,
      },
      expect.objectContaining({ room_id: space, num_joined_members: 2, room_type: 'm.space' }),
      expect.objectContaining({ room_id: small, topic: 'about nothing' }),
    ]);
    const first = await bob.post('/publicRooms', { limit: 2 });
    expect(first.body.chunk).toHaveLength(2);
    const second = await bob.post('/publicRooms', { limit: 2, since: first.body.next_batch });
    expect(second.body).toMatchObject({ chunk: [{ room_id: small }] });
    expect(second.body.next_batch).toBeUndefined();
    const back = await bob.post('/publicRooms', { limit: 2, since: second.body.prev_batch });
    expect(back.body.chunk).toEqual(first.body.chunk);
    expect((await bob.post('/publicRooms', { since: 'x' })).status).toBe(400);
  });

  it('is searched', async () => {
    const found = async (filter: object): Promise<string[]> => {
      const { body } = await bob.post('/publicRooms', { filter });
      return body.chunk.map(({ name }: { name: string }) => name);
    };
    expect(await found({ generic_search_term: 'NOTHING' })).toEqual(['Small']);
    expect(await found({ generic_search_term: '#large' })).toEqual(['Large']);
    expect(await found({ generic_search_term: '100%' })).toEqual([]);
    expect(await found({ room_types: ['m.space'] })).toEqual(['Space']);
    expect(await found({ room_types: [null], generic_search_term: 'l' })).toEqual([
      'Large',
      'Small',
    ]);
    expect((await bob.post('/publicRooms', { filter: 'x' })).body.errcode).toBe('M_BAD_JSON');
    const elsewhere = await bob.get('/publicRooms?server=elsewhere.test');
    expect(elsewhere.status).toBe(404);
  });
});
