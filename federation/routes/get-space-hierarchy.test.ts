import { RoomSummaries } from '../../homeserver/discovery/room-summaries.ts';
import { ServerHierarchy } from '../../homeserver/discovery/server-hierarchy.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('GET /hierarchy/{roomId}', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let space: RoomId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    peer = await network.peer();
    alice = await here.user('alice');
    space = await room('public_chat', { type: 'm.space' });
  });
  afterAll(() => network.close());

  const room = (preset: 'public_chat' | 'private_chat', creationContent: JsonObject = {}) =>
    here.rooms.roomCreator.create(alice, { preset, version: '11', creationContent });
  const state = (roomId: RoomId, type: string, stateKey: string, content: JsonObject) =>
    here.core.localEvents.send(roomId, { type, stateKey, sender: alice, content });
  const add = (child: RoomId, content: JsonObject = {}) =>
    state(space, 'm.space.child', child, { via: [here.name], ...content });
  const ask = (roomId: RoomId, query = '') =>
    peer.ask(
      here.name,
      'GET',
      `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}${query}`,
    );

  it('tells a server of the space and of the rooms in it that its users may enter', async () => {
    const open = await room('public_chat');
    const closed = await room('private_chat');
    const forMembers = await room('private_chat');
    const lobby = await room('public_chat');
    await state(forMembers, 'm.room.join_rules', '', {
      join_rule: 'restricted',
      allow: [{ type: 'm.room_membership', room_id: lobby }],
    });
    await add(open, { suggested: true });
    await add(closed);
    await add(forMembers);
    await add('!unknown:elsewhere.test' as RoomId);
    const ids = (rooms: { room_id: RoomId }[]) => rooms.map(({ room_id: id }) => id).sort();

    const { status, body } = await ask(space);
    expect(status).toBe(200);
    expect(body.room).toMatchObject({ room_id: space, room_type: 'm.space' });
    expect(body.room.children_state).toHaveLength(4);
    expect(ids(body.children)).toEqual([open]);
    expect(body.inaccessible_children.sort()).toEqual([closed, forMembers].sort());

    await Guest.join(peer, here.name, lobby);
    // The answer is told again for a while as it was.
    expect(ids((await ask(space)).body.children)).toEqual([open]);
    network.clock.advance(61_000);
    expect(ids((await ask(space)).body.children)).toEqual([open, forMembers].sort());
    const suggested = (await ask(space, '?suggested_only=true')).body;
    expect([ids(suggested.children), suggested.inaccessible_children]).toEqual([[open], []]);
  });

  it('is kept for a while only as far as there is room for it', async () => {
    const summaries = new RoomSummaries({ ...here.core, ...here.rooms });
    const told = new ServerHierarchy({ ...here.core, summaries, maxToldLength: 2_000 });
    for (const [length, isKept] of [
      [10, true],
      [3_000, false],
    ] as const) {
      const roomId = await room('public_chat', { type: 'm.space' });
      await state(roomId, 'm.room.topic', '', { topic: 'a'.repeat(length) });
      const live = (await here.core.registry.find(roomId)) as LiveRoom;
      const topic = async () => (await told.of(peer.name, live, false)).room['topic'];
      const before = await topic();
      expect(before).toHaveLength(length);
      await state(roomId, 'm.room.topic', '', { topic: 'new' });
      expect(await topic()).toBe(isKept ? before : 'new');
    }
  });

  it('says nothing of rooms that are none of the server’s business', async () => {
    const closed = await room('private_chat', { type: 'm.space' });
    for (const roomId of [closed, '!unknown:elsewhere.test' as RoomId]) {
      const { status, body } = await ask(roomId);
      expect([status, body.errcode]).toEqual([404, 'M_NOT_FOUND']);
    }
    expect((await ask('nonsense' as RoomId)).status).toBe(400);
  });
});
