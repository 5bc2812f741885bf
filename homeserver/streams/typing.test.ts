/** Typing where several processes serve the people of a room. What clients see: client-api/rooms/typing. */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { type LinkedCores, linkedCores } from '../testing/linked-cores.ts';
import { syncOnce } from '../testing/sync-once.ts';
import { localUser } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let linked: LinkedCores;
let roomId: RoomId;
let told: [core: number, userId: UserId, typing: boolean][];
beforeEach(async () => {
  linked = await linkedCores(3);
  const rooms = testRooms(at(0));
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
  await linked.settled();
  told = [];
  for (const [nth, core] of linked.cores.entries()) {
    core.typing.onLocalChange(({ userId, typing }) => told.push([nth, userId, typing]));
  }
});
afterEach(() => linked.close());

const at = (nth: number): Core => linked.cores[nth] as Core;

/** Who types, as a sync says; undefined where it says nothing of it. */
const syncAt = async (nth: number, since?: string) => {
  await at(nth).log.caughtUp();
  const answer = await syncOnce(at(nth), alice, since);
  const events: { type: string; content: { user_ids: UserId[] } }[] =
    answer.rooms?.join?.[roomId]?.ephemeral?.events ?? [];
  const typing = events.find(({ type }) => type === 'm.typing')?.content.user_ids;
  return { typing, since: answer.next_batch as string };
};

describe('who types', () => {
  it('is told once to whoever syncs through changing processes', async () => {
    let { since } = await syncAt(0);
    const step = async (nth: number) => {
      const answer = await syncAt(nth, since);
      since = answer.since;
      return answer.typing;
    };
    for (let round = 0; round < 12; round += 1) {
      await at(round % 3).typing.setLocal(bob, roomId, true);
      expect(await step((round + 1) % 3)).toEqual([bob]);
      expect(await step((round + 2) % 3)).toBeUndefined();
      await at((round + 1) % 3).typing.setLocal(bob, roomId, false);
      expect(await step((round + 2) % 3)).toEqual([]);
      expect(await step(round % 3)).toBeUndefined();
    }
  });

  it('is told to whoever waits at another process', async () => {
    await at(2).userRooms.of(alice);
    const waiter = at(2).notifier.register(alice);
    await at(1).typing.setLocal(bob, roomId, true);
    await waiter.wait(10_000);
    expect(at(2).typing.usersIn((await at(2).registry.find(roomId))?.nid as number)).toEqual([bob]);
    at(2).notifier.release(waiter);
  });

  it('is known in every process, for other servers, once for each notice', async () => {
    await at(1).typing.setLocal(bob, roomId, true);
    await at(2).typing.setLocal(bob, roomId, true);
    await linked.settled();
    expect(told.filter(([nth]) => nth === 0)).toEqual([
      [0, bob, true],
      [0, bob, true],
    ]);
    expect(told).toHaveLength(6);
  });

  it('lapses once, whichever process looks', async () => {
    const { since } = await syncAt(0);
    await at(1).typing.setLocal(bob, roomId, true, 30_000);
    await linked.settled();
    linked.clock.advance(31_000);
    for (const core of linked.cores) core.typing.expire();
    for (const core of linked.cores) core.typing.expire();
    await linked.settled();
    expect(told.filter(([, , typing]) => !typing)).toHaveLength(3);
    expect((await syncAt(2, since)).typing).toEqual([]);
  });

  it('lapses although the owner of the room is gone', async () => {
    await at(1).typing.setLocal(bob, roomId, true, 30_000);
    await linked.move({ pins: { [roomId]: 1 } });
    await linked.settled();
    linked.clock.advance(31_000);
    at(2).typing.expire();
    await linked.settled();
    expect((await syncAt(0)).typing).toEqual([bob]);
    await linked.move({ pins: { [roomId]: 2 } });
    await linked.settled();
    at(2).typing.expire();
    await linked.settled();
    expect((await syncAt(0)).typing).toBeUndefined();
  });

  it('is not undone by the lapse of an earlier notice', async () => {
    await linked.move({ pins: { [roomId]: 2 } });
    await at(1).typing.setLocal(bob, roomId, true, 30_000);
    await linked.settled();
    linked.clock.advance(31_000);
    const again = at(0).typing.setLocal(bob, roomId, true, 30_000);
    at(2).typing.expire();
    await again;
    await linked.settled();
    expect((await syncAt(2)).typing).toEqual([bob]);
  });

  it('leaves with whoever leaves the room', async () => {
    await at(1).typing.setLocal(bob, roomId, true);
    await testRooms(at(2)).membership.leave(bob, roomId);
    await linked.settled();
    for (const nth of [0, 1, 2]) expect((await syncAt(nth)).typing).toBeUndefined();
    expect(told.filter(([, , typing]) => !typing)).toHaveLength(3);
  });
});
