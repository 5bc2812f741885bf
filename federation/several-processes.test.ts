/** A server of several processes: others reach one of them, and the room belongs to another one. */
import { randomUUID } from 'node:crypto';
import { knownOf } from '../homeserver/testing/known-room.ts';
import { compileRoomEventFilter } from '../spec/filter.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import { Guest } from './testing/guest.ts';
import { until } from './testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('a server of several processes', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;
  let bob: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server({}, 3);
    there = await network.server();
  });
  beforeEach(async () => {
    network.clock.advance(1);
    alice = await here.user(`alice-${randomUUID()}`);
    bob = await there.user(`bob-${randomUUID()}`);
  });
  afterAll(() => network.close());

  const give = (nth: number, ...keys: string[]) =>
    here.linked!.move({ pins: Object.fromEntries(keys.map((key) => [key, nth])) });

  /** A room of the second process, made by it. */
  const ownedRoom = async (): Promise<RoomId> => {
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await give(1, roomId);
    return roomId;
  };

  const agree = async (roomId: RoomId): Promise<void> => {
    await here.linked!.settled();
    const rooms = await Promise.all(
      here.linked!.cores.map(({ registry }) => registry.find(roomId)),
    );
    const [first, ...others] = rooms.map((room) => knownOf(room!));
    for (const other of others) expect(other).toEqual(first);
    expect(first!.heads).toHaveLength(1);
  };

  it('takes in whom it lets into a room, wherever that is asked', async () => {
    const roomId = await ownedRoom();
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    await agree(roomId);
    for (const { core } of here.others) {
      expect((await core.registry.find(roomId))?.membership(bob)).toBe('join');
    }
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
    await there.rooms.membership.leave(bob, roomId);
    await until(async () => (await here.membership(bob, roomId)) === 'leave');
  });

  it('takes in what is sent to any process, also while the room moves', async () => {
    const roomId = await ownedRoom();
    const peer = await network.peer();
    const guest = await Guest.join(peer, here.name, roomId);
    const wanted: string[] = [];
    for (let nth = 0; nth < 12; nth += 1) {
      const body = `message ${nth}`;
      wanted.push(body);
      const event = guest.message(body);
      const moving = give(nth % 3, roomId);
      const { status, body: answer } = await guest.send([event]);
      expect([status, answer]).toEqual([200, { pdus: { [event.id]: {} } }]);
      await moving;
    }
    await until(async () => (await here.messages(alice, roomId)).length === wanted.length);
    expect(await here.messages(alice, roomId)).toEqual(wanted);
    await agree(roomId);
  });

  it('goes on with what waits where the room goes', async () => {
    const roomId = await ownedRoom();
    const peer = await network.peer();
    const guest = await Guest.join(peer, here.name, roomId);
    guest.message('first');
    const second = guest.message('second');
    let release: () => void = () => undefined;
    const held = new Promise<{ status: number; body: string }>((resolve) => {
      release = () => resolve({ status: 404, body: '{}' });
    });
    peer.on(/get_missing_events/, () => held);
    expect((await guest.send([second])).body.pdus).toEqual({ [second.id]: {} });
    expect(here.others[0]!.federation.queue.isWaitingFrom(roomId, peer.name)).toBe(true);
    guest.tellMissing();
    await give(2, roomId);
    await until(async () => (await here.messages(alice, roomId)).includes('second'));
    await until(() => !here.others[1]!.federation.queue.isWaiting(roomId));
    expect(here.others[0]!.federation.queue.isWaiting(roomId)).toBe(false);
    // What the last owner was waiting for comes too late.
    release();
    expect(await here.messages(alice, roomId)).toEqual(['first', 'second']);
    await agree(roomId);
  });

  it('joins rooms elsewhere, and fetches their history, through the process that owns them', async () => {
    const roomId = await there.rooms.roomCreator.create(bob, { preset: 'public_chat' });
    await there.say(bob, roomId, 'before');
    await give(2, roomId);
    await here.rooms.membership.join(alice, roomId, { via: [there.name] });
    await here.say(alice, roomId, 'here I am');
    await until(async () => (await there.messages(bob, roomId)).includes('here I am'));
    const texts = await here.others[0]!.history.messages({
      userId: alice,
      roomId,
      from: undefined,
      to: undefined,
      direction: 'backwards',
      limit: 50,
      filter: compileRoomEventFilter({}),
    });
    const bodies = texts.events.flatMap(({ stored }) => stored.event.content['body'] ?? []);
    expect(bodies).toEqual(['here I am', 'before']);
    await agree(roomId);
  });

  it('is told of invites, and that they are taken back, at any process', async () => {
    const standing = async (nth: number, roomId: RoomId) =>
      [...(await here.linked!.cores[nth]!.userRooms.of(alice)).values()].find(
        (room) => room.roomId === roomId,
      )?.membership;
    const roomId = await there.rooms.roomCreator.create(bob, { preset: 'private_chat' });
    await give(2, roomId);
    await there.rooms.membership.invite(bob, roomId, alice);
    await here.linked!.settled();
    for (const nth of [0, 1, 2]) expect(await standing(nth, roomId)).toBe('invite');
    await there.rooms.membership.kick(bob, roomId, alice);
    for (const nth of [0, 1, 2]) await until(async () => (await standing(nth, roomId)) === 'leave');
  });
});
