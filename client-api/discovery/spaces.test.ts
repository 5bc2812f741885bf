import { createDiscovery, type Discovery } from '../../homeserver/discovery/create-discovery.ts';
import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { tokenIsUser as auth } from '../testing/token-is-user.ts';
import { discoveryRoutes } from './routes.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let test: TestCore;
let rooms: TestRooms;
let discovery: Discovery;
let server: TestServer;

beforeAll(async () => {
  test = await testCore();
  const { core } = test;
  rooms = testRooms(core);
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  discovery = createDiscovery(core, history, rooms.restrictedJoins);
  server = await serve(discoveryRoutes({ ...core, ...rooms, ...discovery, history, auth }));
});
afterAll(async () => {
  await server.stop();
  await discovery.close();
  await test.close();
});

const newRoom = (preset: 'public_chat' | 'private_chat', name: string, content: JsonObject = {}) =>
  rooms.roomCreator.create(alice, { preset, name, creationContent: content });
const newSpace = (name: string) => newRoom('public_chat', name, { type: 'm.space' });
const setState = (roomId: RoomId, type: string, content: JsonObject, stateKey = '') => {
  test.clock.advance(1000);
  return test.core.localEvents.send(roomId, { type, sender: alice, content, stateKey });
};
const addChild = (space: RoomId, child: string, more: JsonObject = {}) =>
  setState(space, 'm.space.child', { via: ['here.test'], ...more }, child);

const get = async (path: string, token: UserId | undefined = alice) =>
  (await server.request('GET', `/_matrix/client/v1${path}`, { ...(token && { token }) })).body;
const hierarchy = (space: RoomId, query = '', token: UserId = alice) =>
  get(`/rooms/${space}/hierarchy${query}`, token);
const names = (page: { rooms: { name: string }[] }) => page.rooms.map(({ name }) => name);

describe('GET /rooms/{roomId}/hierarchy', () => {
  it('walks the tree depth first, each room once, children in their order', async () => {
    const [top, inner] = [await newSpace('top'), await newSpace('inner')];
    const late = await newRoom('public_chat', 'late');
    const leaf = await newRoom('public_chat', 'leaf');
    await addChild(top, late);
    await addChild(top, inner, { order: 'a', suggested: true });
    await addChild(inner, leaf);
    await addChild(inner, top);
    await addChild(top, leaf, { order: 'not valid: \u0007' });
    await addChild(top, '!nowhere:here.test', { via: [] });
    await addChild(top, '!unknown:there.test');
    const page = await hierarchy(top);
    expect(names(page)).toEqual(['top', 'inner', 'leaf', 'late']);
    expect(page.next_batch).toBeUndefined();
    const [first, , third] = page.rooms;
    expect(first).toMatchObject({
      room_id: top,
      room_type: 'm.space',
      num_joined_members: 1,
      join_rule: 'public',
      world_readable: false,
      guest_can_join: false,
      room_version: '12',
    });
    expect(first.children_state.map((event: JsonObject) => event['state_key'])).toEqual([
      inner,
      late,
      leaf,
      '!unknown:there.test',
    ]);
    expect(Object.keys(first.children_state[0]).toSorted()).toEqual([
      'content',
      'origin_server_ts',
      'sender',
      'state_key',
      'type',
    ]);
    expect(third.children_state).toEqual([]);
    expect(names(await hierarchy(top, '?max_depth=1'))).toEqual(['top', 'inner', 'late', 'leaf']);
    expect(names(await hierarchy(top, '?max_depth=0'))).toEqual(['top']);
    const suggested = await hierarchy(top, '?suggested_only=true');
    expect(names(suggested)).toEqual(['top', 'inner']);
    expect(suggested.rooms[0].children_state).toHaveLength(1);
  });

  it('tells of as many children as fit, in their order', async () => {
    const top = await newSpace('top');
    for (let number = 0; number < 12; number += 1) {
      await setState(
        top,
        'm.space.child',
        { via: ['there.test'], order: String.fromCharCode(97 + number), x: 'x'.repeat(60_000) },
        `!child${number}:there.test`,
      );
    }
    const { rooms } = await hierarchy(top);
    const told = rooms[0].children_state.map((child: JsonObject) => child['state_key']);
    expect(told.length).toBeGreaterThan(3);
    expect(told.length).toBeLessThan(12);
    expect(told.slice(0, 3)).toEqual([0, 1, 2].map((number) => `!child${number}:there.test`));
  });

  it('comes in pages, all with the same filters', async () => {
    const top = await newSpace('top');
    for (const name of ['one', 'two', 'three']) {
      await addChild(top, await newRoom('public_chat', name));
    }
    const first = await hierarchy(top, '?limit=2');
    expect(names(first)).toEqual(['top', 'one']);
    const second = await hierarchy(top, `?limit=2&from=${first.next_batch}`);
    expect(names(second)).toEqual(['two', 'three']);
    expect(second.next_batch).toBeUndefined();
    const changed = await hierarchy(top, `?max_depth=1&from=${first.next_batch}`);
    expect(changed.errcode).toBe('M_INVALID_PARAM');
    expect((await hierarchy(top, '?from=x')).errcode).toBe('M_INVALID_PARAM');
  });

  it('shows each person the rooms they may join or read', async () => {
    const top = await newSpace('top');
    const [hidden, invited, member] = [
      await newRoom('private_chat', 'hidden'),
      await newRoom('private_chat', 'invited'),
      await newRoom('private_chat', 'member'),
    ];
    const [open, knockable, restricted] = [
      await newRoom('private_chat', 'open'),
      await newRoom('private_chat', 'knockable'),
      await newRoom('private_chat', 'restricted'),
    ];
    await setState(open, 'm.room.history_visibility', { history_visibility: 'world_readable' });
    await setState(knockable, 'm.room.join_rules', { join_rule: 'knock' });
    await setState(restricted, 'm.room.join_rules', {
      join_rule: 'restricted',
      allow: [{ type: 'm.room_membership', room_id: member }],
    });
    for (const room of [hidden, invited, member, open, knockable, restricted]) {
      await addChild(top, room);
    }
    const seen = async (user: UserId) => names(await hierarchy(top, '', user));
    expect(await seen(bob)).toEqual(['top', 'open', 'knockable']);
    await rooms.membership.invite(alice, invited, bob);
    await rooms.membership.invite(alice, member, bob);
    await rooms.membership.join(bob, member);
    expect(await seen(bob)).toEqual([
      'top',
      'invited',
      'member',
      'open',
      'knockable',
      'restricted',
    ]);
    await rooms.membership.ban(alice, knockable, bob);
    expect(await seen(bob)).not.toContain('knockable');
    expect((await hierarchy(hidden, '', bob)).errcode).toBe('M_FORBIDDEN');
    expect((await hierarchy('!none:here.test' as RoomId)).errcode).toBe('M_FORBIDDEN');
  });
});

describe('GET /room_summary/{roomIdOrAlias}', () => {
  const summary = (room: string, token?: UserId) =>
    get(`/room_summary/${encodeURIComponent(room)}`, token);

  it('describes a room by id or alias, and how one stands to it', async () => {
    const roomId = await rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      aliasName: 'pub',
      name: 'The Pub',
      topic: 'Beer',
    });
    await setState(roomId, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' });
    const described = await summary(roomId, alice);
    expect(described).toMatchObject({
      room_id: roomId,
      name: 'The Pub',
      topic: 'Beer',
      canonical_alias: '#pub:here.test',
      num_joined_members: 1,
      join_rule: 'public',
      room_version: '12',
      encryption: 'm.megolm.v1.aes-sha2',
      membership: 'join',
    });
    expect((await summary('#pub:here.test', bob)).membership).toBe('leave');
  });

  it('is there for those without a token too, of rooms open to all', async () => {
    const open = await newRoom('public_chat', 'open');
    const closed = await newRoom('private_chat', 'closed');
    const ask = (roomId: RoomId, headers = {}) =>
      server.request('GET', `/_matrix/client/v1/room_summary/${roomId}`, { headers });
    const { body } = await ask(open);
    expect([body.name, body.membership]).toEqual(['open', undefined]);
    expect((await ask(closed)).body.errcode).toBe('M_NOT_FOUND');
  });

  it('keeps quiet about what one may not see, and what is not here', async () => {
    const closed = await newRoom('private_chat', 'closed');
    expect((await summary(closed, alice)).name).toBe('closed');
    expect((await summary(closed, bob)).errcode).toBe('M_NOT_FOUND');
    expect((await summary('!none:there.test', bob)).errcode).toBe('M_NOT_FOUND');
    expect((await summary('#none:here.test', bob)).errcode).toBe('M_NOT_FOUND');
    expect((await summary('nonsense', bob)).errcode).toBe('M_INVALID_PARAM');
  });
});
