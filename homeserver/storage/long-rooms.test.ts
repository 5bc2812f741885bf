/** What is read of a room costs what is read of it, however long the room, whatever the planner knows. */
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { explain, explainPrepared, watchStatements } from '../testing/watched-database.ts';
import type { Database } from './database.ts';
import {
  currentSnapshotAt,
  eventsNearTime,
  latestByRoom,
  newestOfOthers,
  timelineBetween,
} from './events.ts';

const length = 20_000;
const smallRooms = 2_000;
const longRoom = smallRooms + 1;
const limit = 100;

let test: TestDatabase;
afterEach(() => test.close());

const start = { streamPos: 0, backfillPos: 0 };
const middle = { streamPos: 50_000 + length / 2, backfillPos: 0 };
const end = { streamPos: 1_000_000, backfillPos: 0 };
const rooms = [{ roomNid: longRoom, after: 0 }];

const readings: [string, (db: Database) => Promise<unknown>][] = [
  ['a page back', (db) => timelineBetween(db, longRoom, start, middle, 'backwards', limit)],
  ['a page on', (db) => timelineBetween(db, longRoom, middle, end, 'forwards', limit)],
  ['the newest events', (db) => latestByRoom(db, [longRoom], end.streamPos, limit)],
  ['the newest events of others', (db) => newestOfOthers(db, '@me:x', rooms, 1_000_000, limit)],
  ['the state at a place', (db) => currentSnapshotAt(db, longRoom, middle.streamPos)],
  [
    'events near a time',
    (db) => eventsNearTime(db, longRoom, 50_000_000, 'backwards', { limit, offset: 0 }),
  ],
];

const setUp = async (): Promise<Database> => {
  test = await testDatabase();
  const { database } = test;
  await database.query({ text: 'ALTER TABLE events SET (autovacuum_enabled = false)' });
  await database.query({ text: 'ALTER TABLE rooms SET (autovacuum_enabled = false)' });
  return database;
};

const addRooms = async (db: Database, from: number, upTo: number): Promise<void> => {
  await db.query({
    text: `INSERT INTO rooms (room_nid, room_id, version, created_at_ms)
      SELECT n, '!room' || n, '12', 0 FROM generate_series($1::int, $2::int) n`,
    values: [from, upTo],
  });
};

/** Event `n` of the log in room `room`, both written in terms of `n`. */
const addEvents = async (db: Database, room: string, from: number, upTo: number): Promise<void> => {
  await db.query({
    text: `INSERT INTO events (room_nid, event_nid, event_id, type, sender, depth,
        origin_server_ts, stream_pos, current_snapshot, json)
      SELECT ${room}, n, '$' || n, 'm.room.message', '@bob:x', n, n * 1000, n, n, repeat('x', 300)
      FROM generate_series($1::int, $2::int) n`,
    values: [from, upTo],
  });
};

const addLongRoom = async (db: Database): Promise<void> => {
  await addRooms(db, longRoom, longRoom);
  await addEvents(db, `${longRoom}`, 50_001, 50_000 + length);
};

/** Pages of each of the readings, by both kinds of plan. */
const pagesOfAll = async (db: Database) => {
  const found: [string, number, number][] = [];
  for (const [name, read] of readings) {
    const watch = watchStatements(db);
    await read(db);
    watch.stop();
    const [statement] = watch.seen;
    if (statement === undefined) throw new Error('nothing was asked');
    const first = await explain(db, statement);
    const prepared = await explainPrepared(db, statement);
    found.push([name, first.pages, prepared.pages]);
  }
  return found;
};

/** Pages that are touched for each event, those of its room's name included: not a twentieth of all. */
const most = limit * 7;
const tooMany = ([, ...pages]: readonly [string, number, number]): boolean =>
  pages.some((each) => each > most);

it('where nothing has been counted yet, as after a large join', async () => {
  const db = await setUp();
  await addLongRoom(db);
  expect((await pagesOfAll(db)).filter(tooMany)).toEqual([]);
});

it('where rooms are short on average', async () => {
  const db = await setUp();
  await addRooms(db, 1, smallRooms);
  await addEvents(db, `n % ${smallRooms} + 1`, 1, smallRooms * 5);
  await db.query({ text: 'ANALYZE' });
  await addLongRoom(db);
  expect((await pagesOfAll(db)).filter(tooMany)).toEqual([]);
});
