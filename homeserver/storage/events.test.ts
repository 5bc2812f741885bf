import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { explain, type StatementWatch, watchStatements } from '../testing/watched-database.ts';
import { newestOfOthers, roomsChangedBetween } from './events.ts';
import { eventsToJudge, plainCounts } from './unread-events.ts';

let test: TestDatabase;
let watch: StatementWatch;

const rooms = 40;
const positions = 60_000;

/** A busy log in which each of a few rooms has one event in a thousand. */
beforeAll(async () => {
  test = await testDatabase();
  const { database } = test;
  await database.query({
    text: `INSERT INTO rooms (room_nid, room_id, version, created_at_ms)
      SELECT n, '!room' || n, '12', 0 FROM generate_series(1, ${rooms + 1}) n`,
  });
  await database.query({
    text: `INSERT INTO events (room_nid, event_nid, event_id, type, sender, depth,
        origin_server_ts, stream_pos, push_mark, json)
      SELECT CASE WHEN n % 1000 < ${rooms} THEN 1 + n % 1000 ELSE ${rooms + 1} END, n, '$' || n,
        'm.room.message', '@bob:here.test', n, n, n, 1, '{}'
      FROM generate_series(1, ${positions}) n`,
  });
  await database.query({ text: 'VACUUM ANALYZE events' });
  watch = watchStatements(database);
});
afterAll(() => test.close());
beforeEach(() => watch.reset());

const ranges = Array.from({ length: rooms }, (_, index) => ({ roomNid: index + 1, after: 100 }));

/** Pages that the only statement seen touches. */
const pagesOfLast = async (): Promise<number> => {
  const [statement] = watch.seen;
  if (statement === undefined) throw new Error('nothing was asked');
  return (await explain(test.database, statement)).pages;
};

describe('events of some rooms of a busy log', () => {
  it('are counted by the index of their rooms', async () => {
    const unread = ranges.map((range) => ({ ...range, upTo: positions }));
    const counts = await plainCounts(test.database, unread, [], 1000);
    expect(counts.get(1)).toEqual({ count: 60, firstPos: 1_000, lastPos: 60_000 });
    // A page of the table for each entry that is too new to be known visible, and the index.
    expect(await pagesOfLast()).toBeLessThan(4_000);
  });

  it('are looked at by the index of their rooms', async () => {
    const unread = ranges.map((range) => ({ ...range, upTo: positions, whole: false }));
    expect(await eventsToJudge(test.database, unread, [], 50)).toEqual([]);
    expect(await pagesOfLast()).toBeLessThan(4_000);
    watch.reset();
    const whole = unread.map((range) => ({ ...range, whole: true }));
    const found = await eventsToJudge(test.database, whole, [], 50);
    expect(found).toHaveLength(rooms * 50);
    // A page of the index and one of the table for each event.
    expect(await pagesOfLast()).toBeLessThan(15_000);
  });

  it('of others are found by the index of their rooms', async () => {
    const found = await newestOfOthers(test.database, '@me:here.test', ranges, positions, 20);
    expect(found.map(({ stream_pos: position }) => position)).toEqual(
      Array.from({ length: 20 }, (_, index) => 59_039 - index),
    );
    expect(await pagesOfLast()).toBeLessThan(5_000);
  });

  it('are looked for in each room by its index', async () => {
    const nids = ranges.map(({ roomNid }) => roomNid);
    expect((await roomsChangedBetween(test.database, nids, 100, positions)).size).toBe(rooms);
    expect(await pagesOfLast()).toBeLessThan(500);
  });
});
