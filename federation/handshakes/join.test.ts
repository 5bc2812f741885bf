import { randomUUID } from 'node:crypto';
import type { RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { until } from '../testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('joining a room of another server', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
  });
  afterAll(() => network.close());

  const freshUser = (server: NetworkServer): Promise<UserId> => server.user(randomUUID());
  const join = (user: UserId, roomId: RoomId, ...via: ServerName[]) =>
    there.rooms.membership.join(user, roomId, { via });

  it.each(['1', '3', '6', '10', '11', '12'])('works in version %s', async (version) => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version });
    await here.say(alice, roomId, 'before');
    expect(await join(bob, roomId, here.name)).toBe(roomId);

    expect(await here.membership(bob, roomId)).toBe('join');
    expect(await there.membership(bob, roomId)).toBe('join');
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
    await there.say(bob, roomId, 'from bob');
    await here.say(alice, roomId, 'from alice');
    const wanted = (texts: string[]) => texts.includes('from bob') && texts.includes('from alice');
    await until(async () => wanted(await here.messages(alice, roomId)));
    await until(async () => wanted(await there.messages(bob, roomId)));
    // History from before the join comes from the other server.
    expect(await there.messages(bob, roomId)).toContain('before');
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
  });
});
