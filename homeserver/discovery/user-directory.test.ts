/** What keeping the user directory costs does not grow with each room. */
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { watchStatements } from '../testing/watched-database.ts';
import { UserDirectory } from './user-directory.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

const [alice, bob, carol] = [localUser('alice'), localUser('bob'), localUser('carol')];

it('follows many rooms with statements for all of them together', async () => {
  const { roomCreator, membership } = testRooms(test.core);
  const roomIds: string[] = [];
  for (let count = 0; count < 20; count += 1) {
    const roomId = await roomCreator.create(bob, { preset: 'public_chat' });
    await membership.join(alice, roomId);
    roomIds.push(roomId);
  }
  // Nobody of this server is left in the last one.
  const last = roomIds.at(-1) as never;
  for (const user of [alice, bob]) await membership.leave(user, last);

  const { database } = test.core;
  const directory = new UserDirectory(test.core);
  try {
    const before = database.statementCount;
    const found = await directory.search(carol, 'bob', 10);
    expect(found.map(({ userId }) => userId)).toEqual([bob]);
    expect(database.statementCount - before).toBeLessThan(20);
    const { rows } = await database.query<{ room_id: string; present: boolean; open: boolean }>({
      text: `SELECT room_id, present, public_join AND NOT world_readable AS open
        FROM open_rooms JOIN rooms USING (room_nid) ORDER BY room_nid`,
    });
    expect(rows).toEqual(roomIds.map((id) => ({ room_id: id, present: id !== last, open: true })));
  } finally {
    await directory.close();
  }
});

it('takes the members of a large room a few at a time, though they come at one position', async () => {
  const count = 1_050;
  const { database, log } = test.core;
  await testRooms(test.core).roomCreator.create(alice, { preset: 'public_chat' });
  await database.query({
    text: `WITH made AS (
        INSERT INTO events (room_nid, event_nid, event_id, type, state_key, membership, sender, depth,
          origin_server_ts, json)
        SELECT (SELECT max(room_nid) FROM rooms), 1000000 + n, '$far' || n, 'm.room.member',
          '@far' || n || ':there.test', 'join', '@far' || n || ':there.test', 1, 1,
          '{"content":{"membership":"join","displayname":"Faraway ' || n || '"}}'
        FROM generate_series(1, $1::int) n RETURNING *
      )
      INSERT INTO state_changes (room_nid, stream_pos, event_nid, is_current, type, state_key,
          membership)
        SELECT room_nid, $2, event_nid, true, type, state_key, membership FROM made`,
    values: [count, log.position],
  });
  const watch = watchStatements(database, { inTransactions: true });
  const directory = new UserDirectory(test.core);
  try {
    await directory.search(carol, 'faraway', 10);
    const named = (name: string) => watch.seen.filter((statement) => statement.name === name);
    const most = Math.max(...watch.seen.map(({ rowCount }) => rowCount));
    expect(most).toBeLessThanOrEqual(100);
    expect(named('put-directory-users').length).toBeGreaterThan(count / 100);
    // What concerns rooms is asked once for all members.
    expect(named('rooms-with-local-members').length).toBeLessThan(3);
    const { rows } = await database.query({
      text: `SELECT count(*) AS kept FROM user_directory WHERE display_name LIKE 'Faraway %'`,
    });
    expect(rows).toEqual([{ kept: count }]);
  } finally {
    await directory.close();
    watch.stop();
  }
});
