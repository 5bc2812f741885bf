/** Who is online, where several processes serve people: whoever owns a person says how they are. */
import type { DeviceId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { type LinkedCores, linkedCores } from '../testing/linked-cores.ts';
import { eventually } from '../testing/server-process.ts';
import { syncOnce } from '../testing/sync-once.ts';
import { localUser } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];
const phone = 'PHONE' as DeviceId;

let linked: LinkedCores;
let roomId: RoomId;
/** What each core has for other servers. */
let told: { core: number; userId: UserId; presence: string; rooms: number }[];
beforeEach(async () => {
  linked = await linkedCores(3);
  const rooms = testRooms(at(0));
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
  await linked.move({ pins: { [bob]: 1, [alice]: 0 } });
  await linked.settled();
  // So that nobody waits for the database.
  for (const { userRooms } of linked.cores) {
    await userRooms.of(alice);
    await userRooms.of(bob);
  }
  told = [];
  for (const [core, { presence }] of linked.cores.entries()) {
    presence.onLocalChange(({ user, roomNids }) => {
      const { userId, presence } = user;
      told.push({ core, userId, presence, rooms: [...roomNids].length });
    });
  }
});
afterEach(() => linked.close());

const at = (nth: number): Core => linked.cores[nth] as Core;

const settled = async () => {
  for (let round = 0; round < 3; round += 1) await linked.settled();
};

const expireAll = async () => {
  for (const { presence } of linked.cores) presence.expire();
  await settled();
};

const shown = (userId: UserId) =>
  linked.cores.map(({ presence }) => presence.of(userId)?.presence ?? 'nothing');

/** The presence that a sync of alice tells of others. */
const syncAt = async (nth: number, since?: string) => {
  await at(nth).log.caughtUp();
  const answer = await syncOnce(at(nth), alice, since);
  const events: { sender: UserId; content: { presence: string } }[] = answer.presence?.events ?? [];
  return {
    news: events.map(({ sender, content }) => `${sender} ${content.presence}`),
    since: answer.next_batch as string,
  };
};

describe('who is online', () => {
  it('is told once to whoever syncs through changing processes', async () => {
    let { since } = await syncAt(0);
    const step = async (nth: number) => {
      const answer = await syncAt(nth, since);
      since = answer.since;
      return answer.news;
    };
    for (let round = 0; round < 9; round += 1) {
      const state = round % 2 === 0 ? 'online' : 'unavailable';
      await at(round % 3).presence.set(bob, phone, state, `round ${round}`);
      expect(await step((round + 1) % 3)).toEqual([`${bob} ${state}`]);
      expect(await step((round + 2) % 3)).toEqual([]);
    }
  });

  it('follows from what people do at any process', async () => {
    at(2).presence.seen(bob, phone, 'online', 30_000);
    await settled();
    expect(shown(bob)).toEqual(['online', 'online', 'online']);
    for (let nth = 0; nth < 20; nth += 1) {
      linked.clock.advance(25_000);
      at(nth % 3).presence.seen(bob, phone, 'online', 30_000);
      await settled();
      await expireAll();
    }
    expect(shown(bob)).toEqual(['unavailable', 'unavailable', 'unavailable']);
    // Whoever writes is active, whichever process it was.
    await testRooms(at(0)).eventSender.message(
      { userId: bob, deviceId: phone } as never,
      {
        roomId,
        type: 'm.room.message',
        txnId: 'one',
        content: { msgtype: 'm.text', body: 'here' },
      } as never,
    );
    await settled();
    expect(shown(bob)).toEqual(['online', 'online', 'online']);
    linked.clock.advance(71_000);
    await expireAll();
    await expireAll();
    expect(shown(bob)).toEqual(['offline', 'offline', 'offline']);
    const byCore = [0, 1, 2].map((core) =>
      told.filter((news) => news.core === core).map(({ presence }) => presence),
    );
    expect(byCore[0]).toEqual(['online', 'unavailable', 'online', 'offline']);
    expect(byCore[1]).toEqual(byCore[0]);
    expect(byCore[2]).toEqual(byCore[0]);
  });

  it('costs no message for each of many syncs', async () => {
    at(2).presence.seen(bob, phone, 'online', 30_000);
    await settled();
    const { calls } = linked.ownership;
    for (let nth = 0; nth < 50; nth += 1) at(2).presence.seen(bob, phone, 'online', 30_000);
    await settled();
    expect(linked.ownership.calls).toBe(calls);
  });

  it('outlives its owner, who is followed by another', async () => {
    at(0).presence.seen(bob, phone, 'online', 30_000);
    await settled();
    await linked.move({ pins: { [bob]: 2 } });
    await settled();
    linked.clock.advance(50_000);
    await expireAll();
    expect(shown(bob)).toEqual(['online', 'online', 'online']);
    linked.clock.advance(11_000);
    await expireAll();
    expect(shown(bob)).toEqual(['offline', 'offline', 'offline']);
    expect(told.filter(({ core }) => core === 0).map(({ presence }) => presence)).toEqual([
      'online',
      'offline',
    ]);
  });

  it('is known of whoever joins a room, to its members', async () => {
    at(0).presence.seen(bob, phone, 'online', 30_000);
    linked.clock.advance(1);
    const other = await testRooms(at(0)).roomCreator.create(alice, { preset: 'public_chat' });
    await settled();
    const { since } = await syncAt(2);
    told = [];
    await testRooms(at(2)).membership.join(bob, other);
    // The process that owns bob reads his rooms first, where it does not have this one in memory.
    await eventually('all hear of it', () => told.length === 3);
    expect((await syncAt(2, since)).news).toEqual([`${bob} online`]);
    expect((await syncAt(1, since)).news).toEqual([`${bob} online`]);
    expect(told.filter(({ core }) => core === 1)).toEqual([
      { core: 1, userId: bob, presence: 'online', rooms: 1 },
    ]);
    await eventually('bob is told of', async () => !at(1).presence.isHeld(bob));
  });
});
