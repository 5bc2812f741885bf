/** What is asked of crowds touches no more pages than it has to. */
import type { UserId } from '../../spec/identifiers.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { explain, type StatementWatch, watchStatements } from '../testing/watched-database.ts';
import { changedUsersSharing } from './device-lists.ts';
import { publishedRooms } from './published-rooms.ts';

let test: TestDatabase;
let watch: StatementWatch;
beforeAll(async () => {
  test = await testDatabase();
  const { database } = test;
  // The viewer is in rooms 1 to 3,000; each of 3,000 others in five rooms, which half of them share.
  await database.query({
    text: `INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos, membership_pos)
      SELECT '@viewer:x', n, 'join', n, n, n FROM generate_series(1, 3000) n
      UNION ALL
      SELECT '@user' || n || ':x', CASE WHEN n % 2 = 0 THEN 10000 ELSE 0 END + (n * 5 + k) % 3000 + 1,
        'join', n, n, n
      FROM generate_series(1, 3000) n, generate_series(0, 4) k`,
  });
  await database.query({
    text: `INSERT INTO device_list_users (user_id, stream_pos, devices_pos)
      SELECT '@user' || n || ':x', n, n FROM generate_series(1, 3000) n`,
  });
  await database.query({
    text: `INSERT INTO rooms (room_nid, room_id, version, created_at_ms)
        SELECT n, '!r' || n, '12', 0 FROM generate_series(1, 20) n;
      INSERT INTO published_rooms (room_id) SELECT '!r' || n FROM generate_series(1, 20) n;
      INSERT INTO room_heads (room_nid, extremities, snapshot_nid, joined)
        SELECT n, '{}', n, (n - 1) * 500 FROM generate_series(1, 20) n;
      INSERT INTO state_changes (room_nid, stream_pos, event_nid, is_current, type, state_key,
          membership)
        SELECT n, k, k, true, 'm.room.member', '@u' || k || ':x', 'join'
        FROM generate_series(1, 20) n, generate_series(1, 500) k`,
  });
  await database.query({ text: 'ANALYZE' });
  watch = watchStatements(database);
});
afterAll(() => test.close());

const pages = async (): Promise<number> => {
  const last = watch.seen.at(-1);
  if (last === undefined) throw new Error('nothing was asked');
  return (await explain(test.database, last)).pages;
};

it('who has changed is found by the rooms of each', async () => {
  const found = await changedUsersSharing(test.database, '@viewer:x' as UserId, 0, 3_000);
  expect(found).toHaveLength(1_500);
  expect(found).toContain('@user1:x');
  expect(await pages()).toBeLessThan(3_000 * 10);
});

it('published rooms are listed without counting their members', async () => {
  const found = await publishedRooms(test.database);
  expect(found).toHaveLength(19);
  expect(found[0]).toEqual({ roomNid: 20, roomId: '!r20', joined: 9_500 });
  expect(await pages()).toBeLessThan(100);
});
