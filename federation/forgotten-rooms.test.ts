/** A room that has ended here, because all of its people here had forgotten it, and lives on elsewhere. */
import { AbandonedRooms } from '../homeserver/rooms/abandoned-rooms.ts';
import { createUpkeep } from '../homeserver/upkeep/create-upkeep.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import { until } from './testing/memory-log.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

/** The first has event ids that servers choose. */
describe.each(['1', '11', '12'])('a room of version %s that has ended here', (version) => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let [alice, bob] = ['', ''] as UserId[] as [UserId, UserId];
  let roomId: RoomId;

  const nidOf = async () => {
    const { rows } = await here.core.database.query<{ nid: number }>({
      text: 'SELECT room_nid AS nid FROM rooms WHERE room_id = $1',
      values: [roomId],
    });
    return rows[0]?.nid;
  };
  const eventsOf = async (nid: number | undefined) => {
    const { rows } = await here.core.database.query<{ n: number }>({
      text: 'SELECT count(*) AS n FROM events WHERE room_nid = $1',
      values: [nid],
    });
    return rows[0]?.n;
  };
  const join = () => here.rooms.membership.join(bob, roomId, { via: [there.name] });
  const leaveForGood = async () => {
    await here.rooms.membership.leave(bob, roomId);
    await until(async () => (await there.membership(bob, roomId)) === 'leave');
    await here.rooms.membership.forget(bob, roomId);
    const roomNid = (await nidOf()) as number;
    const room = { roomNid, roomId, sincePos: here.core.log.position };
    expect(await new AbandonedRooms(here.core).end(room)).toBe(true);
    return roomNid;
  };
  const worksOn = async (text: string) => {
    expect(await here.state(roomId)).toEqual(await there.state(roomId));
    await here.say(bob, roomId, `${text} from here`);
    await there.say(alice, roomId, `${text} from there`);
    const both = [`${text} from here`, `${text} from there`];
    for (const [server, user] of [
      [here, bob],
      [there, alice],
    ] as const) {
      await until(async () => {
        const texts = await server.messages(user, roomId);
        return both.every((said) => texts.includes(said));
      });
    }
  };

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await there.user('alice');
    bob = await here.user('bob');
    roomId = await there.rooms.roomCreator.create(alice, { preset: 'public_chat', version });
    await join();
    await worksOn('at first');
  });
  afterAll(() => network.close());

  it('can be joined while the old one is still there, and after', async () => {
    const before = await leaveForGood();
    expect(await here.membership(bob, roomId)).toBeUndefined();
    expect(await eventsOf(before)).toBeGreaterThan(5);
    await join();
    expect(await nidOf()).not.toBe(before);
    await worksOn('again');
    const now = await eventsOf(await nidOf());
    await createUpkeep(here.core).runDue();
    expect(await eventsOf(before)).toBe(0);
    expect(await eventsOf(await nidOf())).toBe(now);
    await worksOn('with nothing left');
    await here.stop();
    await here.start();
    await worksOn('after a start');
  });

  it('can be asked to, and declined', async () => {
    await leaveForGood();
    await there.rooms.membership.invite(alice, roomId, bob);
    const nid = (await nidOf()) as number;
    expect((await here.core.userRooms.get(bob, nid))?.membership).toBe('invite');
    await createUpkeep(here.core).runDue();
    await here.rooms.membership.leave(bob, roomId);
    expect((await here.core.userRooms.get(bob, nid))?.membership).toBe('leave');
    await until(async () => (await there.membership(bob, roomId)) === 'leave');
  });
});
