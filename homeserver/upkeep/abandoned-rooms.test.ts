/** Rooms that everybody here has left and forgotten: when they go, and that all of them goes. */

import type { EventId, RoomAlias, RoomId, UserId } from '../../spec/identifiers.ts';
import { RoomBuilder } from '../../spec/testing/room-builder.ts';
import type { Core } from '../core.ts';
import { AbandonedRooms } from '../rooms/abandoned-rooms.ts';
import { RoomImporter } from '../rooms/import-room.ts';
import { Outliers } from '../rooms/outliers.ts';
import { OutsideRooms } from '../rooms/outside-rooms.ts';
import { isRoomKept } from '../storage/abandoned-rooms.ts';
import { holdRoom, logWaits } from '../testing/log-trouble.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { upkeepTasks } from './create-upkeep.ts';
import { Upkeep } from './upkeep.ts';
import { DAY_MS } from './upkeep-task.ts';

const [alice, bob, carol] = [localUser('alice'), localUser('bob'), localUser('carol')];
const zoe = '@zoe:far.test';
const keptMs = 90 * DAY_MS;

/** Rows that name a room and are not the room's. */
const ofPeople: Readonly<Record<string, string>> = {
  reports: 'of those who run the server: two years',
  key_backup_keys: 'of whoever has the backup, and of use to them if they come back',
  purged_rooms: 'what the room is while it goes',
};

let test: TestCore;
let core: Core;
let rooms: TestRooms;
const open = (opened: Core): void => {
  core = opened;
  rooms = testRooms(core);
};
const upkeepOf = (opened: Core, maxRows = 500): Upkeep => {
  const abandonedRooms = new AbandonedRooms(opened);
  const tasks = upkeepTasks({ endOfRooms: { ...opened, abandonedRooms, keptMs } });
  return new Upkeep({ ...opened, tasks: tasks.map((task) => ({ ...task, maxRows })) });
};
const days = async (count: number): Promise<void> => {
  const upkeep = upkeepOf(core);
  for (let day = 0; day < count; day += 15) {
    await upkeep.runDue();
    test.clock.advance(Math.min(15, count - day) * DAY_MS);
  }
  await upkeep.runDue();
};
const query = async <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> =>
  (await core.database.query<Row>({ text, values })).rows;
const nidOf = async (roomId: RoomId): Promise<number | undefined> =>
  (await query<{ n: number }>('SELECT room_nid AS n FROM rooms WHERE room_id = $1', [roomId]))[0]
    ?.n;

/** Rows of each table that name the room, by its nid or its id. */
const rowsOf = async (roomNid: number, roomId: RoomId): Promise<Record<string, number>> => {
  const columns = await query<{ table: string; column: string }>(`
    SELECT table_name AS table, column_name AS column FROM information_schema.columns
    JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
      AND column_name IN ('room_nid', 'room_id') ORDER BY column_name DESC`);
  const counts: Record<string, number> = {};
  for (const { table, column } of columns) {
    if (table in ofPeople) continue;
    const [row] = await query<{ n: number }>(
      `SELECT count(*) AS n FROM ${table} WHERE ${column} = $1`,
      [column === 'room_nid' ? roomNid : roomId],
    );
    counts[table] = (counts[table] ?? 0) + (row?.n ?? 0);
  }
  return counts;
};
const left = (counts: Record<string, number>) =>
  Object.entries(counts).filter(([, count]) => count > 0);

const leaveAndForget = async (userId: UserId, roomId: RoomId): Promise<void> => {
  await rooms.membership.leave(userId, roomId);
  await rooms.membership.forget(userId, roomId);
};

/** A room of another server, with alice in it. */
const importRoom = async (builder: RoomBuilder): Promise<void> => {
  const before = [...builder.timeline];
  const state = [...builder.stateAfter().values()].flatMap((id) => builder.events.get(id) ?? []);
  const joinEvent = builder.member(alice, 'join');
  const importer = new RoomImporter({
    ...core,
    db: core.database,
    localServer: core.serverName,
    outliers: new Outliers(core),
  });
  const authChain = before.filter(({ stateKey }) => stateKey !== undefined);
  const { roomId, rules } = builder;
  await importer.importRoom({ roomId, rules, joinEvent, state, authChain });
};
const remoteRoom = (name: string): RoomBuilder => {
  const builder = new RoomBuilder({ creator: zoe, name });
  builder.member(zoe, 'join');
  builder.setState('m.room.join_rules', { join_rule: 'public' });
  return builder;
};

beforeEach(async () => {
  test = await testCore();
  open(test.core);
});
afterEach(() => test.close());

/** What only comes to be in ways that are not of interest here, so that each table has something. */
const fillTables = async (roomNid: number, roomId: RoomId, eventNid: number): Promise<void> => {
  await query(`INSERT INTO server_rooms VALUES ('near.test', ${roomNid}, 1, 2) ON CONFLICT DO NOTHING;
    INSERT INTO missing_prev_events VALUES (${roomNid}, '$missing', ${eventNid});
    INSERT INTO unapplied_redactions VALUES (${roomNid}, '$unknown', ${eventNid});
    INSERT INTO auth_chain_links VALUES (${roomNid}, 1, 1, 2, 1);
    INSERT INTO open_rooms (room_nid) VALUES (${roomNid});
    INSERT INTO user_directory VALUES ('${bob}', ${roomNid}, 'bob', NULL, '');
    INSERT INTO unread_counts VALUES ('${bob}', ${roomNid}, 1, 1, 1, '[]');
    INSERT INTO outside_memberships VALUES ('@old:here.test', ${roomNid}, 1, 'far.test', '11', 1, 1);
    INSERT INTO inbound_pdus (room_id, event_id, origin, received_at_ms, json)
      VALUES ('${roomId}', '$waits', 'far.test', ${test.clock.nowMs()}, '{}');
    INSERT INTO event_words SELECT room_nid, event_nid, stream_pos, 'b', 'word' FROM events
      WHERE event_nid = ${eventNid}`);
};

/** A room made here that everybody has left and forgotten, and that has something in every table. */
const forgottenRoom = async (): Promise<{ roomId: RoomId; nid: number; said: EventId }> => {
  const alias = '#lost:here.test' as RoomAlias;
  const roomId = await rooms.roomCreator.create(alice, {
    preset: 'public_chat',
    visibility: 'public',
    aliasName: 'lost',
    topic: 'what was',
  });
  await rooms.membership.join(bob, roomId);
  await rooms.membership.invite(alice, roomId, carol);
  const said = await rooms.say(roomId, alice, 'words');
  await core.localEvents.send(roomId, {
    type: 'm.reaction',
    sender: bob,
    content: { 'm.relates_to': { rel_type: 'm.annotation', event_id: said, key: 'x' } },
  });
  await core.receipts.set(bob, roomId, 'm.read', said);
  await core.accountData.put(bob, roomId, 'm.tag', { tags: {} });
  for (const user of [carol, bob, alice]) await leaveAndForget(user, roomId);
  const nid = (await nidOf(roomId)) as number;
  const stored = await core.events.byId(said);
  await fillTables(nid, roomId, stored?.nid as number);
  expect((await rooms.roomAliases.resolve(alias)).roomId).toBe(roomId);
  return { roomId, nid, said };
};

describe('a room that everybody here has left and forgotten', () => {
  it('goes, with every row of every table, after it was kept for a while', async () => {
    const { roomId, nid } = await forgottenRoom();
    const full = await rowsOf(nid, roomId);
    // Filled in by the clean-up itself.
    expect(Object.keys(full).filter((table) => full[table] === 0)).toEqual(['abandoned_rooms']);
    await days(89);
    expect(await core.registry.find(roomId)).toBeDefined();
    await days(2);
    expect(await core.registry.find(roomId)).toBeUndefined();
    expect(left(await rowsOf(nid, roomId))).toEqual([]);
    expect(await query('SELECT * FROM purged_rooms')).toEqual([]);
  });

  it('is unknown from the moment it goes, whatever is still there of it', async () => {
    const { roomId, nid, said } = await forgottenRoom();
    await core.userRooms.of(bob);
    const room = { roomNid: nid, roomId, sincePos: core.log.position };
    expect(await new AbandonedRooms(core).end(room)).toBe(true);
    const look = async () => {
      expect(await core.registry.find(roomId)).toBeUndefined();
      expect(await core.registry.findByNid(nid)).toBeUndefined();
      expect(await core.events.byId(said)).toBeUndefined();
      expect((await core.userRooms.of(bob)).size).toBe(0);
      await expect(rooms.roomAliases.resolve('#lost:here.test' as RoomAlias)).rejects.toMatchObject(
        { errcode: 'M_NOT_FOUND' },
      );
      await expect(rooms.membership.join(bob, roomId)).rejects.toMatchObject({
        errcode: 'M_NOT_FOUND',
      });
      await expect(rooms.say(roomId, alice, 'more')).rejects.toMatchObject({ status: 404 });
    };
    expect((await rowsOf(nid, roomId))['events']).toBeGreaterThan(10);
    await look();
    open(await test.restart());
    await look();
  });

  it.each<[string, (roomId: RoomId) => Promise<unknown>]>([
    ['somebody is in', (roomId) => rooms.membership.join(alice, roomId)],
    [
      'somebody has left and not forgotten',
      async (roomId) => {
        await rooms.membership.join(alice, roomId);
        await rooms.membership.leave(alice, roomId);
      },
    ],
    [
      'has a report that nobody has looked into',
      (roomId) => rooms.reports.ofRoom(bob, roomId, 'evil'),
    ],
  ])('stays while %s', async (_, change) => {
    const roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
    await rooms.membership.join(alice, roomId);
    await leaveAndForget(alice, roomId);
    await change(roomId);
    await leaveAndForget(bob, roomId);
    await days(200);
    expect(await core.registry.find(roomId)).toBeDefined();
  });

  it('goes once the report is closed', async () => {
    const roomId = await rooms.roomCreator.create(bob, {});
    await rooms.reports.ofRoom(bob, roomId, 'evil');
    await leaveAndForget(bob, roomId);
    await days(100);
    await query('UPDATE reports SET closed_at_ms = 1');
    await days(100);
    expect(await core.registry.find(roomId)).toBeUndefined();
  });

  it('goes where somebody has left it with their account', async () => {
    const roomId = await rooms.roomCreator.create(bob, {});
    await rooms.membership.leave(bob, roomId);
    await query(`INSERT INTO users (user_id, created_at_ms, deactivated_at_ms)
      VALUES ('${bob}', 1, 2)`);
    await days(100);
    expect(await core.registry.find(roomId)).toBeUndefined();
  });

  it('is kept as long again when somebody comes back and goes', async () => {
    const builder = remoteRoom('again');
    const { roomId } = builder;
    await importRoom(builder);
    await leaveAndForget(alice, roomId);
    builder.member(alice, 'leave');
    await days(80);
    // Between two rounds, so that nothing but what happened in the room tells of it.
    await importRoom(builder);
    await leaveAndForget(alice, roomId);
    await days(20);
    expect(await core.registry.find(roomId)).toBeDefined();
    await days(100);
    expect(await core.registry.find(roomId)).toBeUndefined();
  });

  it.each([true, false])(
    'either stays or is another one for an invite that comes as it goes (first: %s)',
    async (isInviteFirst) => {
      const { roomId, nid } = await forgottenRoom();
      const room = { roomNid: nid, roomId, sincePos: core.log.position };
      const builder = new RoomBuilder({ name: 'invite' });
      const invite = builder.send({
        type: 'm.room.member',
        sender: builder.creator,
        stateKey: carol,
        content: { membership: 'invite' },
      });
      const outside = new OutsideRooms({ ...core, db: core.database });
      const record = () => outside.record(roomId, builder.rules, { ...invite, roomId }, '[]');
      const end = () => new AbandonedRooms(core).end(room);
      const [one, other] = isInviteFirst ? [record, end] : [end, record];
      const answers = await Promise.all([one(), other()]);
      const now = await nidOf(roomId);
      expect(answers).toContain(now !== nid);
      for (const opened of [core, await test.restart()]) {
        expect(await opened.userRooms.get(carol, now as number)).toMatchObject({
          membership: 'invite',
          roomId,
        });
      }
    },
  );

  it('is whole where the log was lost as it went, and goes the next time', async () => {
    const { roomId, nid, said } = await forgottenRoom();
    const room = { roomNid: nid, roomId, sincePos: core.log.position };
    const letGo = await holdRoom(core, nid);
    const ending = new AbandonedRooms(core).end(room);
    await logWaits(core);
    await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'parley log%'`);
    expect(await ending).toBeUndefined();
    await letGo();
    expect((await core.registry.find(roomId))?.nid).toBe(nid);
    expect((await core.events.byId(said))?.roomNid).toBe(nid);
    expect((await core.userRooms.get(bob, nid))?.forgotten).toBe(true);
    const alias = '#lost:here.test' as RoomAlias;
    expect((await rooms.roomAliases.resolve(alias)).roomId).toBe(roomId);
    expect(await new AbandonedRooms(core).end(room)).toBe(true);
    expect(await core.registry.find(roomId)).toBeUndefined();
  });

  it('is tried again behind the others where it could not go', async () => {
    const { nid } = await forgottenRoom();
    const other = await rooms.roomCreator.create(alice, {});
    await leaveAndForget(alice, other);
    const abandonedRooms = new AbandonedRooms(core);
    const end = abandonedRooms.end.bind(abandonedRooms);
    let failures = 0;
    abandonedRooms.end = async (room) => {
      if (room.roomNid !== nid) return end(room);
      failures += 1;
      return undefined;
    };
    const upkeep = new Upkeep({
      ...core,
      tasks: upkeepTasks({ endOfRooms: { ...core, abandonedRooms, keptMs } }),
    });
    await upkeep.runDue();
    test.clock.advance(91 * DAY_MS);
    await upkeep.runDue();
    expect(failures).toBe(1);
    expect(await core.registry.find(other)).toBeUndefined();
    expect(await core.registry.findByNid(nid)).toBeDefined();
  });

  it('is looked at a few entries at a time, whoever is among many members', async () => {
    const look = async (roomId: RoomId): Promise<boolean[]> => {
      const roomNid = (await nidOf(roomId)) as number;
      await query(`INSERT INTO state_changes (room_nid, stream_pos, event_nid, is_current, type,
          state_key, membership)
        SELECT ${roomNid}, n, 1, true, 'm.room.member', '@' || n || ':far.test', 'join'
        FROM generate_series(1, 40) n`);
      const found: boolean[] = [];
      let after: string | undefined;
      do {
        const page = await isRoomKept(core.database, roomNid, core.serverName, after, 6);
        found.push(page.isKept);
        after = page.next;
      } while (after !== undefined);
      return found;
    };
    const kept = await rooms.roomCreator.create(alice, {});
    const left = await rooms.roomCreator.create(alice, {});
    await leaveAndForget(alice, left);
    expect((await look(kept)).at(-1)).toBe(true);
    const pages = await look(left);
    expect(pages.length).toBeGreaterThan(7);
    expect(pages).not.toContain(true);
  });

  it('does not go as somebody joins it', async () => {
    const outcomes = new Set<boolean>();
    for (const pause of [0, 1, 2, 4, 8, 16]) {
      const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
      await rooms.membership.join(bob, roomId);
      await leaveAndForget(alice, roomId);
      await leaveAndForget(bob, roomId);
      const roomNid = (await nidOf(roomId)) as number;
      const room = { roomNid, roomId, sincePos: core.log.position };
      const ending = new AbandonedRooms(core).end(room);
      for (let turn = 0; turn < pause; turn += 1) await new Promise(setImmediate);
      const [hasEnded, join] = await Promise.all([
        ending,
        rooms.membership.join(bob, roomId).then(
          () => true,
          () => false,
        ),
      ]);
      expect(hasEnded).toBe(!join);
      expect((await core.registry.find(roomId))?.membership(bob)).toBe(join ? 'join' : undefined);
      outcomes.add(join);
    }
    expect(outcomes.has(false)).toBe(true);
  });
});

describe('an invite to a room this server was never in', () => {
  const record = async (builder: RoomBuilder, sender: string, membership: string) => {
    const outside = new OutsideRooms({ ...core, db: core.database });
    const event = builder.send({
      type: 'm.room.member',
      sender,
      stateKey: carol,
      content: { membership },
    });
    const stripped = membership === 'invite' ? '[]' : undefined;
    await outside.record(builder.roomId, builder.rules, event, stripped);
  };

  it('stays while it waits, and goes when it was taken back or refused', async () => {
    const builder = remoteRoom('elsewhere');
    const { roomId } = builder;
    await record(builder, zoe, 'invite');
    const nid = (await nidOf(roomId)) as number;
    await days(200);
    expect((await core.userRooms.get(carol, nid))?.membership).toBe('invite');
    await record(builder, zoe, 'leave');
    await days(100);
    expect(left(await rowsOf(nid, roomId))).toEqual([]);
  });
});

describe('what is left of a room', () => {
  it('goes on going wherever it was stopped, and is nothing to whoever comes to the room again', async () => {
    const builder = remoteRoom('big');
    const { roomId } = builder;
    await importRoom(builder);
    for (let n = 0; n < 12; n += 1) await rooms.say(roomId, alice, `${n}`);
    await core.accountData.put(alice, roomId, 'm.tag', { old: true });
    await leaveAndForget(alice, roomId);
    builder.member(alice, 'leave');
    const nid = (await nidOf(roomId)) as number;
    const stored = await query<{ n: number }>(
      `SELECT max(event_nid) AS n FROM events WHERE room_nid = ${nid} AND type = 'm.room.message'`,
    );
    await fillTables(nid, roomId, stored[0]?.n as number);
    await upkeepOf(core).runDue();
    test.clock.advance(91 * DAY_MS);

    let steps = 0;
    let again: number | undefined;
    let rowsOfNew: Record<string, number> | undefined;
    for (;;) {
      // Each step is of another process, which knows nothing of what came before.
      const upkeep = upkeepOf(core, 5);
      const reports = [];
      for (;;) {
        const report = await upkeep.step();
        if (report === undefined) break;
        reports.push(report);
        if (report.task === 'gone rooms' && report.deleted > 0) break;
      }
      if (reports.every(({ task, deleted }) => task !== 'gone rooms' || deleted === 0)) break;
      steps += 1;
      open(await test.restart());
      if (steps !== 3) continue;
      // The room has gone, and the events that it had are all still there.
      expect(await nidOf(roomId)).toBeUndefined();
      await importRoom(builder);
      await core.accountData.put(alice, roomId, 'm.tag', { new: true });
      again = await nidOf(roomId);
      rowsOfNew = await rowsOf(again as number, roomId);
      expect(await core.registry.find(roomId)).toMatchObject({ nid: again });
    }
    expect(steps).toBeGreaterThan(10);
    expect(again).not.toBe(nid);
    expect(await nidOf(roomId)).toBe(again);
    // Nothing of the old one, but for what the new one has under the same id.
    const kept = await rowsOf(again as number, roomId);
    expect(kept).toEqual(rowsOfNew);
    const old = await rowsOf(nid, '!none' as RoomId);
    expect(left(old)).toEqual([]);
    const room = await core.registry.find(roomId);
    expect(room?.membership(alice)).toBe('join');
    await rooms.say(roomId, alice, 'here again');
    const create = room?.stateRef('m.room.create', '');
    expect((await core.events.byNid(again as number, create?.nid as number))?.roomNid).toBe(again);
  });
});
