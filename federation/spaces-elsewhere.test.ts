import { createDiscovery, type Discovery } from '../homeserver/discovery/create-discovery.ts';
import type { JsonObject } from '../spec/event.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('rooms and spaces that only other servers have', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let bob: UserId;
  let discovery: Discovery;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
    bob = await there.user('bob');
    peer = await network.peer();
    discovery = createDiscovery(
      here.core,
      here.history,
      here.rooms.restrictedJoins,
      here.federation.remoteRooms,
    );
  });
  afterAll(async () => {
    await discovery.close();
    await network.close();
  });

  const create = (
    { rooms }: NetworkServer,
    creator: UserId,
    name: string,
    children: readonly [RoomId, string, JsonObject?][] = [],
    preset: 'public_chat' | 'private_chat' = 'public_chat',
  ): Promise<RoomId> =>
    rooms.roomCreator.create(creator, {
      preset,
      name,
      creationContent: name.startsWith('space') ? { type: 'm.space' } : {},
      initialState: children.map(([roomId, via, more]) => ({
        type: 'm.space.child',
        stateKey: roomId,
        content: { via: [via], ...more },
      })),
    } as never);
  const page = async (roomId: RoomId, more: JsonObject = {}) => {
    const found = await discovery.spaceHierarchy.page({
      userId: alice,
      roomId,
      suggestedOnly: false,
      maxDepth: 10,
      limit: 50,
      offset: 0,
      ...more,
    });
    return found.rooms.map(({ name }) => name);
  };

  it('are part of a space here, as far as one may know of them', async () => {
    const deep = await create(there, bob, 'deep room');
    const secret = await create(there, bob, 'secret', [], 'private_chat');
    const inner = await create(there, bob, 'space inside', [
      [deep, there.name, { order: 'a' }],
      [secret, there.name, { order: 'b' }],
    ]);
    const room = await create(there, bob, 'room');
    const whole = await create(here, alice, 'space', [
      [inner, there.name, { order: '1' }],
      [room, there.name, { order: '2' }],
      [`!gone:127.0.0.1:1` as RoomId, '127.0.0.1:1', { order: '3' }],
    ]);
    expect(await page(whole)).toEqual(['space', 'space inside', 'deep room', 'room']);
    expect(await page(whole, { maxDepth: 1 })).toEqual(['space', 'space inside', 'room']);
    expect(await page(whole, { offset: 2, limit: 1 })).toEqual(['deep room']);
    expect(await page(inner)).toEqual(['space inside', 'deep room']);
  });

  it('are asked about once in a while', async () => {
    const id = `!asked:${peer.name}` as RoomId;
    const summary = { room_id: id, num_joined_members: 3, join_rule: 'public', name: 'asked' };
    peer.on(/hierarchy/, () => ({
      room: { ...summary, children_state: [], junk: 'x' },
      children: [{ ...summary, room_id: '!other:elsewhere.test' }],
      inaccessible_children: [],
    }));
    const asked = () => peer.received.filter(({ url }) => url.includes('hierarchy')).length;
    const all = await Promise.all([page(id), page(id)]);
    expect(all).toEqual([['asked'], ['asked']]);
    await page(id);
    expect(asked()).toBe(1);
    network.clock.advance(6 * 60_000);
    await page(id);
    expect(asked()).toBe(2);
    const told = await discovery.remoteSummaries.of(alice, id, [], 1000);
    expect(told?.room).toEqual({
      ...summary,
      guest_can_join: false,
      world_readable: false,
      children_state: [],
    });
    expect(told?.children.size).toBe(0);
  });

  it('are not believed to be other rooms, or in another form', async () => {
    const id = `!odd:${peer.name}` as RoomId;
    const good = { room_id: id, num_joined_members: 3, join_rule: 'public' };
    const odd = [
      { ...good, room_id: '!another:elsewhere.test' },
      { ...good, num_joined_members: 'many' },
      { ...good, join_rule: 'invite' },
      'x',
      undefined,
    ];
    for (const room of odd) {
      network.clock.advance(6 * 60_000);
      peer.on(/hierarchy/, () => ({ room, children: [] }) as never);
      await expect(page(id)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    }
    network.clock.advance(6 * 60_000);
    const child = (stateKey: string, content: JsonObject) => ({
      type: 'm.space.child',
      sender: peer.user('x'),
      state_key: stateKey,
      origin_server_ts: 1,
      content,
    });
    const children = [
      child('!fine:elsewhere.test', { via: ['elsewhere.test'], more: 'x' }),
      child('!fine:elsewhere.test', { via: [] }),
      child('nonsense', { via: ['elsewhere.test'] }),
      { ...child('!fine:elsewhere.test', { via: ['a.test'] }), type: 'm.room.name' },
      7,
    ];
    peer.on(/hierarchy/, () => ({ room: { ...good, children_state: children } }) as never);
    const told = await discovery.remoteSummaries.of(alice, id, [], 1000);
    expect(told?.room['children_state']).toEqual([
      child('!fine:elsewhere.test', { via: ['elsewhere.test'] }),
    ]);
  });

  it('let in guests only if they say so', async () => {
    const guest = await here.user('guest');
    const join = (roomId: RoomId) =>
      here.rooms.membership.join(guest, roomId, { via: [there.name], isGuest: true });
    const closed = await create(there, bob, 'closed to guests');
    await expect(join(closed)).rejects.toMatchObject({ errcode: 'M_GUEST_ACCESS_FORBIDDEN' });
    expect(await there.membership(guest, closed)).toBeUndefined();
    const open = await there.rooms.roomCreator.create(bob, {
      preset: 'public_chat',
      initialState: [
        { type: 'm.room.guest_access', stateKey: '', content: { guest_access: 'can_join' } },
      ],
    });
    await join(open);
    expect(await there.membership(guest, open)).toBe('join');
  });

  it('say so to the server of a guest who is invited, and to no other', async () => {
    const guest = await here.user('invited-guest');
    const byInvite = await there.rooms.roomCreator.create(bob, { preset: 'private_chat' });
    const join = () =>
      here.rooms.membership.join(guest, byInvite, { via: [there.name], isGuest: true });
    await expect(join()).rejects.toMatchObject({ errcode: 'M_GUEST_ACCESS_FORBIDDEN' });
    await there.rooms.membership.invite(bob, byInvite, guest);
    // What was told before is believed for a while.
    network.clock.advance(61_000);
    await join();
    expect(await there.membership(guest, byInvite)).toBe('join');
  });
});
