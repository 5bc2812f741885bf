import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryBudget } from '../memory-budget.ts';
import { silentLogger } from '../ops/logger.ts';
import { eventually } from '../testing/server-process.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { LiveRoom } from './live-room.ts';
import { RoomRegistry } from './room-registry.ts';

const alice = localUser('alice');

let test: TestCore;
let rooms: TestRooms;
beforeEach(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
});
afterEach(() => test.close());

describe('a room dropped from memory', () => {
  it('is loaded anew with the write that was under way', async () => {
    const { core, testDatabase } = test;
    const roomId = await rooms.roomCreator.create(alice, { preset: 'private_chat' });
    const before = (await core.registry.find(roomId)) as LiveRoom;

    const holder = await testDatabase.database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM room_heads WHERE room_nid = $1 FOR UPDATE', [before.nid]);
    const sending = rooms.say(roomId, alice, 'under way');
    await waitsForLock(test);
    core.registry.drop(before);
    const loading = core.registry.find(roomId);
    // Long enough to load it, if nothing kept it from doing so.
    await sleep(100);
    await holder.query('COMMIT');
    holder.release();

    const eventId = await sending;
    const after = (await loading) as LiveRoom;
    expect(after).not.toBe(before);
    expect(after.extremities.map(({ event }) => event.eventId)).toEqual([eventId]);
    const seen = after.recent.between(core.log.position - 1, core.log.position);
    expect(seen?.map(({ stored }) => stored?.event.eventId) ?? [eventId]).toEqual([eventId]);
  });

  it('is not brought back by a load that began before', async () => {
    const { core, testDatabase } = test;
    const roomId = await rooms.roomCreator.create(alice, { preset: 'private_chat' });
    const { nid } = (await core.registry.find(roomId)) as LiveRoom;
    core.registry.clear();

    const holder = await testDatabase.database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE room_heads IN ACCESS EXCLUSIVE MODE');
    const began = core.log.position;
    const loading = core.registry.findByNid(nid);
    await waitsForLock(test);
    core.registry.clear();
    await core.accountData.put(alice, undefined, 'org.example.later', {});
    await holder.query('COMMIT');
    holder.release();

    const room = (await loading) as LiveRoom;
    expect(core.log.position).toBeGreaterThan(began);
    expect(room.recent.between(began, core.log.position)).toBeUndefined();
  });
});

it('bounds what all rooms keep of their timelines: those least lately used give theirs up', async () => {
  const { core, testDatabase } = test;
  const registry = new RoomRegistry({
    logger: silentLogger,
    db: testDatabase.database,
    log: core.log,
    events: core.events,
    snapshots: core.snapshots,
    localServer: core.serverName,
    budget: new MemoryBudget((25 * 1_600) / 0.15),
  });
  const made: LiveRoom[] = [];
  for (let i = 0; i < 4; i++) {
    const roomId = await rooms.roomCreator.create(alice, { preset: 'private_chat' });
    const room = (await core.registry.find(roomId)) as LiveRoom;
    registry.add(room);
    made.push(room);
  }
  const [first, second, , last] = made as [LiveRoom, LiveRoom, LiveRoom, LiveRoom];
  expect(registry.find(first.id)).toBe(first);
  const { position } = core.log;
  const held = last.recent.bytes;
  expect(held).toBeGreaterThan(4 * 1_500);

  registry.recentAdded(held);
  expect(made.reduce((sum, { recent }) => sum + recent.bytes, 0)).toBeLessThanOrEqual(25 * 1_600);
  expect(second.recent.bytes).toBe(0);
  expect(second.recent.between(0, position)).toBeUndefined();
  expect(second.recent.between(position, position + 1)).toEqual([]);
  expect(first.recent.bytes).toBeGreaterThan(0);

  const eventId = await rooms.say(second.id, alice, 'after');
  const seen = second.recent.between(position, core.log.position);
  expect(seen?.map(({ stored }) => stored?.event.eventId)).toEqual([eventId]);
});

it('keeps a room that weighs more than the bound, for as long as it is in use', async () => {
  const { core, testDatabase } = test;
  const registry = new RoomRegistry({
    logger: silentLogger,
    db: testDatabase.database,
    log: core.log,
    events: core.events,
    snapshots: core.snapshots,
    localServer: core.serverName,
    budget: new MemoryBudget(1_000),
  });
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  const room = (await registry.find(roomId)) as LiveRoom;
  expect(room.dead).toBe(false);
  expect(await registry.find(roomId)).toBe(room);
  for (let i = 0; i < 40; i++) {
    await registry.find(await rooms.roomCreator.create(alice, { preset: 'private_chat' }));
  }
  expect(room.dead).toBe(true);
  expect(registry.size).toBeLessThan(20);
});

const waitsForLock = ({ testDatabase }: TestCore): Promise<void> =>
  eventually('a write waits for the lock', async () => {
    const { rows } = await testDatabase.database.query({
      text: `SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    });
    return rows.length > 0;
  });
