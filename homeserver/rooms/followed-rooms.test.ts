import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { LogWriteFailed } from '../streams/log.ts';
import { createSync } from '../sync/create-sync.ts';
import { parseSyncToken } from '../sync/tokens.ts';
import { knownOf } from '../testing/known-room.ts';
import { type LinkedCores, linkedCores } from '../testing/linked-cores.ts';
import { eventually } from '../testing/server-process.ts';
import { syncOnce } from '../testing/sync-once.ts';
import { localUser } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { LiveRoom } from './live-room.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let linked: LinkedCores;
let all: readonly { core: Core; rooms: TestRooms }[];
beforeAll(async () => {
  linked = await linkedCores(3);
  all = linked.cores.map((core) => ({ core, rooms: testRooms(core) }));
});
afterAll(() => linked.close());
const at = (nth: number) => all[nth]!;

const aRoom = async (nth = 0): Promise<RoomId> => {
  // What a room is called follows from who made it, and when.
  linked.clock.advance(1);
  const roomId = await at(nth).rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await at(nth).rooms.membership.join(bob, roomId);
  await linked.settled();
  return roomId;
};

const roomAt = async (core: Core, roomId: RoomId): Promise<LiveRoom> =>
  (await core.registry.find(roomId))!;

/** Without asking the room's owner. */
const appendAt = async (nth: number, roomId: RoomId, body: string) => {
  const { core } = at(nth);
  const room = await roomAt(core, roomId);
  return core.localEvents.stage(room, { type: 'm.room.message', sender: alice, content: { body } });
};

describe('a room that several processes have in memory', () => {
  it('is the same in all of them, and as the database has it', async () => {
    const roomId = await aRoom();
    for (const { core } of all) await roomAt(core, roomId);
    const carol = localUser('carol');
    const said: EventId[] = [];
    for (let nth = 0; nth < 9; nth += 1) {
      const { core, rooms } = at(nth % 3);
      said.push(await rooms.say(roomId, alice, `message ${nth}`));
      await linked.settled();
      if (nth === 1) await rooms.membership.invite(alice, roomId, carol);
      if (nth === 2) await rooms.membership.join(carol, roomId);
      if (nth === 3) {
        await rooms.eventSender.state({ userId: alice, deviceId: undefined } as never, {
          roomId,
          type: 'm.room.name',
          stateKey: '',
          content: { name: 'ours' },
        });
      }
      if (nth === 5) await rooms.membership.leave(bob, roomId);
      if (nth === 6) {
        await core.localEvents.send(roomId, {
          type: 'm.room.redaction',
          sender: alice,
          content: {},
          redacts: said[0],
        });
      }
      await linked.settled();
    }
    const known = await Promise.all(
      all.map(async ({ core }) => knownOf(await roomAt(core, roomId))),
    );
    const recent = await Promise.all(
      all.map(async ({ core }) =>
        (await roomAt(core, roomId)).recent
          .between((await roomAt(core, roomId)).recent.completeAfter, core.log.position)
          ?.map(({ position, stored }) => [position, stored?.event.content]),
      ),
    );
    const fresh = await linkedView(roomId);
    for (const each of known) expect(each).toEqual(fresh);
    expect(known[0]!.heads).toHaveLength(1);
    const shortest = Math.min(...recent.map((entries) => entries!.length));
    expect(shortest).toBeGreaterThan(10);
    for (const entries of recent) {
      expect(entries!.slice(-shortest)).toEqual(recent[0]!.slice(-shortest));
    }
  });

  /** As a process has it that has just begun. */
  const linkedView = async (roomId: RoomId) => {
    const { registry } = at(2).core;
    const room = await roomAt(at(2).core, roomId);
    registry.drop(room);
    const loaded = await roomAt(at(2).core, roomId);
    expect(loaded).not.toBe(room);
    return knownOf(loaded);
  };

  it('misses nothing that is committed elsewhere while it is loaded', async () => {
    const roomId = await aRoom();
    const { core } = at(1);
    const { next_batch: since } = await syncOnce(core, bob);
    core.registry.clear();
    core.snapshots.clear();
    const holder = await core.database.pool.connect();
    await holder.query('BEGIN; LOCK TABLE state_snapshots IN ACCESS EXCLUSIVE MODE');
    const loading = roomAt(core, roomId);
    await eventually('the room is being read', async () => {
      const { rows } = await holder.query(
        "SELECT 1 FROM pg_locks WHERE relation = 'state_snapshots'::regclass AND NOT granted",
      );
      return rows.length > 0;
    });
    const said = [
      await at(0).rooms.say(roomId, alice, 'meanwhile'),
      await at(0).rooms.say(roomId, alice, 'and more'),
    ];
    await linked.settled();
    await holder.query('COMMIT');
    holder.release();
    const loaded = await loading;
    expect(loaded.extremities.map(({ event }) => event.eventId)).toEqual([said[1]]);
    const { rooms } = await syncOnce(core, bob, since);
    expect(rooms.join[roomId].timeline.events.map(({ event_id }: never) => event_id)).toEqual(said);
    expect(knownOf(loaded)).toEqual(knownOf(await roomAt(at(0).core, roomId)));
  });

  it('is one chain of events, whoever writes the next one', async () => {
    const roomId = await aRoom(1);
    let before: EventId | undefined;
    for (let nth = 0; nth < 12; nth += 1) {
      const { core, rooms } = at((nth * 2) % 3);
      const eventId = await rooms.say(roomId, bob, `${nth}`);
      const { event } = (await core.events.byId(eventId))!;
      if (before !== undefined) expect(event.prevEventIds).toEqual([before]);
      before = eventId;
      await linked.settled();
    }
  });

  it('is written by its owner and by no other', async () => {
    const roomId = await aRoom();
    const [before] = [knownOf(await roomAt(at(1).core, roomId))];
    await linked.move({ pins: { [roomId]: 2 } });
    const written = await appendAt(1, roomId, 'not mine');
    await expect(written.committed).rejects.toThrow(LogWriteFailed);
    await linked.settled();
    expect(knownOf(await roomAt(at(1).core, roomId))).toEqual(before);
    await (await appendAt(2, roomId, 'mine')).committed;
    await linked.move({ pins: { [roomId]: 1 } });
    await linked.settled();
    await (await appendAt(1, roomId, 'mine now')).committed;
    await linked.settled();
    const contents = (await syncOnce(at(0).core, alice)).rooms.join[roomId].timeline.events.map(
      ({ content }: { content: { body?: string } }) => content.body,
    );
    expect(contents.slice(-2)).toEqual(['mine', 'mine now']);
  });
});

describe('what one process has written', () => {
  it('is in the next sync at any other', async () => {
    const roomId = await aRoom();
    const tokens = await Promise.all(
      all.map(async ({ core }) => (await syncOnce(core, bob)).next_batch as string),
    );
    const eventId = await at(1).rooms.say(roomId, alice, 'everybody');
    await at(2).core.receipts.set(bob, roomId, 'm.read', eventId);
    await at(0).core.accountData.put(bob, undefined, 'colour', { is: 'green' });
    await at(1).core.pushRules.change(bob, (rules) => ({ ...rules }));
    await at(2).core.encryption.toDevice.send(alice, undefined, 'm.dummy', 'txn', {
      [bob]: { '*': {} },
    } as never);
    await linked.settled();
    const answers = await Promise.all(
      all.map(async ({ core }, nth) => syncOnce(core, bob, tokens[nth])),
    );
    const core0 = at(0).core;
    for (const answer of answers) {
      const joined = answer.rooms.join[roomId];
      expect(joined.timeline.events).toEqual([
        expect.objectContaining({
          event_id: eventId,
          content: expect.objectContaining({ body: 'everybody' }),
        }),
      ]);
      expect(joined.ephemeral.events).toEqual([
        expect.objectContaining({ type: 'm.receipt', content: { [eventId]: expect.anything() } }),
      ]);
      expect(answer.account_data.events.map(({ type }: { type: string }) => type).sort()).toEqual([
        'colour',
        'm.push_rules',
      ]);
      expect(parseSyncToken(answer.next_batch).position).toBe(core0.log.position);
    }
  });

  it('wakes those who wait at any other', async () => {
    const roomId = await aRoom();
    const { core } = at(2);
    const { next_batch: since } = await syncOnce(core, bob);
    const waiting = createSync(core).sync({
      userId: bob,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 30_000,
    });
    await at(1).rooms.say(roomId, alice, 'wake up');
    expect(await waiting).toContain('wake up');
  });

  it('is heard of in a room that the reader does not have in memory', async () => {
    const roomId = await aRoom();
    const { core } = at(2);
    const { next_batch: since } = await syncOnce(core, bob);
    core.registry.drop(await roomAt(core, roomId));
    await linked.settled();
    const waiting = createSync(core).sync({
      userId: bob,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 30_000,
    });
    await at(1).rooms.say(roomId, alice, 'far away');
    expect(await waiting).toContain('far away');
  });

  it('ends what another process builds on a write that failed', async () => {
    const roomId = await aRoom();
    await linked.move({ pins: { [roomId]: 1 } });
    await linked.settled();
    const { core, rooms } = at(1);
    const room = await roomAt(core, roomId);
    const { eventId } = room.extremities[0]!.event;
    // An event that is there already has no second row.
    const twice = core.appender.append(room, [
      { event: room.extremities[0]!.event, stateBefore: room.state },
    ]);
    const after = rooms.say(roomId, alice, 'on top of it');
    await expect((await twice).committed).rejects.toThrow(LogWriteFailed);
    // Tried again on what there really is.
    const { event } = (await core.events.byId(await after))!;
    expect(event.prevEventIds).toEqual([eventId]);
  });
});
