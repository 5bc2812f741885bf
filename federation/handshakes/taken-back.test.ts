import { randomUUID } from 'node:crypto';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { until } from '../testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('what is between an outsider and a room of another server', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;
  let bob: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
  });
  beforeEach(async () => {
    bob = await there.user(randomUUID());
    // Rooms made at one moment with the same content are the same room.
    network.clock.advance(1);
  });
  afterAll(() => network.close());

  const create = (joinRule: string): Promise<RoomId> =>
    here.rooms.roomCreator.create(alice, {
      preset: 'private_chat',
      version: '12',
      initialState: [{ type: 'm.room.join_rules', stateKey: '', content: { join_rule: joinRule } }],
    });
  const standing = async (roomId: RoomId): Promise<string | undefined> =>
    [...(await there.core.userRooms.of(bob)).values()].find((room) => room.roomId === roomId)
      ?.membership;

  it('an invite taken back is heard of by the server of the invited', async () => {
    const roomId = await create('invite');
    await here.rooms.membership.invite(alice, roomId, bob);
    await here.rooms.membership.kick(alice, roomId, bob);
    await until(async () => (await standing(roomId)) === 'leave');
  });

  it('a knock refused is heard of by the server of who knocked', async () => {
    const roomId = await create('knock');
    await there.rooms.membership.knock(bob, roomId, { via: [here.name] });
    await here.rooms.membership.ban(alice, roomId, bob);
    await until(
      async () => (await standing(roomId)) === 'leave' || (await standing(roomId)) === 'ban',
    );
  });

  it('a server that was away hears of it when it is back, and of nothing else', async () => {
    const roomId = await create('invite');
    await here.rooms.membership.invite(alice, roomId, bob);
    await there.stop();
    await here.rooms.membership.kick(alice, roomId, bob);
    const said = await here.say(alice, roomId, 'not for them');
    await here.stop();
    await here.start();
    await there.start();
    network.clock.advance(60_000);
    await here.rooms.roomCreator.create(alice, { preset: 'private_chat', invite: [bob] });
    await until(async () => (await standing(roomId)) === 'leave');
    expect(await there.core.events.byId(said)).toBeUndefined();
  });

  it('a knock is taken back through the servers that introduced the room', async () => {
    const roomId = await create('knock');
    await there.rooms.membership.knock(bob, roomId, { via: [here.name] });
    await there.rooms.membership.leave(bob, roomId);
    expect(await here.membership(bob, roomId)).toBe('leave');
  });
});
