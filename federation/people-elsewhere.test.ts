import { randomUUID } from 'node:crypto';
import { UserDirectory } from '../homeserver/discovery/user-directory.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import { until } from './testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

describe('the user directory, of people of other servers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let directory: UserDirectory;
  let alice: UserId;
  let eve: UserId;
  let far: UserId;
  /** What this person is called, which nobody else is. */
  let name: string;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
    eve = await here.user('eve');
    directory = new UserDirectory(here.core);
  });
  beforeEach(async () => {
    name = randomUUID().replaceAll('-', '');
    far = await there.user(`far-${randomUUID()}`);
    await there.profiles.set(far, 'displayname', name);
  });
  afterAll(async () => {
    await directory.close();
    await network.close();
  });

  const create = (server: NetworkServer, creator: UserId, preset: 'public_chat' | 'private_chat') =>
    server.rooms.roomCreator.create(creator, { preset });
  const join = (roomId: RoomId) => there.rooms.membership.join(far, roomId, { via: [here.name] });
  const found = async (searcher: UserId, term = name) =>
    (await directory.search(searcher, term, 10)).map(({ userId, displayName }) => [
      userId,
      displayName,
    ]);
  const membershipIs = (roomId: RoomId, membership: string) =>
    until(async () => {
      const room = await here.core.registry.find(roomId);
      return room?.committed.membership(far) === membership;
    });

  it('finds who comes to a room here, by the name of the day, until they leave', async () => {
    const roomId = await create(here, alice, 'public_chat');
    expect(await found(eve)).toEqual([]);
    await join(roomId);
    expect(await found(eve)).toEqual([[far, name]]);
    expect(await found(alice)).toEqual([[far, name]]);

    const before = name;
    name = randomUUID().replaceAll('-', '');
    await there.core.localEvents.send(roomId, {
      type: 'm.room.member',
      stateKey: far,
      sender: far,
      content: { membership: 'join', displayname: name },
    });
    await until(async () => (await found(eve)).length > 0);
    expect(await found(eve, before)).toEqual([]);

    await there.rooms.membership.leave(far, roomId);
    await membershipIs(roomId, 'leave');
    for (const searcher of [alice, eve]) expect(await found(searcher)).toEqual([]);
  });

  it('tells of a private room nobody who is not in it', async () => {
    const roomId = await create(here, alice, 'private_chat');
    await here.rooms.membership.invite(alice, roomId, far);
    expect(await found(alice)).toEqual([]);
    await until(async () => {
      const invited = await there.core.userRooms.of(far);
      return [...invited.values()].some(({ membership }) => membership === 'invite');
    });
    await join(roomId);
    expect(await found(alice)).toEqual([[far, name]]);
    expect(await found(eve)).toEqual([]);
    await here.rooms.membership.ban(alice, roomId, far);
    expect(await found(alice)).toEqual([]);
  });

  it('knows who is in a room elsewhere that somebody here joins, and forgets it with them', async () => {
    const roomId = await create(there, far, 'public_chat');
    expect(await found(eve)).toEqual([]);
    await here.rooms.membership.join(alice, roomId, { via: [there.name] });
    expect(await found(alice)).toEqual([[far, name]]);
    expect(await found(eve)).toEqual([[far, name]]);
    await here.rooms.membership.leave(alice, roomId);
    // What is heard of the room no more is told no more.
    for (const searcher of [alice, eve]) expect(await found(searcher)).toEqual([]);
  });

  it('finds who is left in one of two rooms by their name there', async () => {
    const [first, second] = [
      await create(here, alice, 'public_chat'),
      await create(here, alice, 'public_chat'),
    ];
    await join(first);
    await join(second);
    await there.rooms.membership.leave(far, first);
    await membershipIs(first, 'leave');
    expect(await found(eve)).toEqual([[far, name]]);
  });

  it('finds them after a pause of the directory as before', async () => {
    const roomId = await create(here, alice, 'public_chat');
    await directory.close();
    await join(roomId);
    directory = new UserDirectory(here.core);
    expect(await found(eve)).toEqual([[far, name]]);
  });
});
