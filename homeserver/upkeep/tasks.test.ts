/** Each clean-up: what is old goes, what is in use or new stays. */
import { silentLogger } from '../ops/logger.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { abandonedRoomTasks } from './abandoned-room-tasks.ts';
import { createUpkeep, upkeepTasks } from './create-upkeep.ts';
import { DAY_MS } from './upkeep-task.ts';

interface Case {
  readonly table: string;
  /** Rows that stay, and rows that go, as the values of an INSERT. */
  readonly stay: readonly string[];
  readonly go: readonly string[];
  readonly columns?: string;
}

const nowMs = Date.UTC(2027, 0, 1);
const daysAgo = (days: number): number => nowMs - days * DAY_MS;

/** Positions of the log: 900 is of yesterday; 500 is 20 days old, 200 40 days, 10 more than three years. */
const times = [
  [1, 900],
  [20, 500],
  [40, 200],
  [120, 100],
] as const;

/** alice (here) and bob (there) are joined in room 1; carol (there) left it, eve (here) forgot room 2. */
const world = `
  INSERT INTO users (user_id, created_at_ms) VALUES ('@alice:here', 1), ('@eve:here', 1);
  INSERT INTO devices (user_id, device_id, created_at_ms) VALUES ('@alice:here', 'A', 1);
  INSERT INTO rooms VALUES (1, '!one:here', '11', 1), (2, '!two:here', '11', 1), (3, '!far:there', '11', 1);
  INSERT INTO room_heads (room_nid, extremities, snapshot_nid) VALUES (1, '{}', 0), (2, '{}', 0);
  INSERT INTO open_rooms (room_nid, present) VALUES (1, true), (2, false), (3, false);
  INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos, membership_pos, forgotten)
    VALUES ('@alice:here', 1, 'join', 1, 1, 1, false), ('@bob:there', 1, 'join', 1, 1, 1, false),
      ('@carol:there', 1, 'leave', 1, 150, 150, false), ('@dan:there', 1, 'leave', 1, 800, 800, false),
      ('@eve:here', 2, 'leave', 1, 150, 150, true), ('@alice:here', 2, 'leave', 1, 950, 950, true),
      ('@far:there', 3, 'join', 1, 1, 1, false);
  INSERT INTO server_rooms VALUES ('met', 1, 10, NULL), ('past', 1, 10, 20);
  INSERT INTO federation_senders VALUES ('all', 1000);
  INSERT INTO destinations (destination, sent_pos, last_success_ms, failure_count, failing_since_ms)
    VALUES ('behind', 400, ${daysAgo(1)}, 1, ${daysAgo(10)}),
      ('gone', 400, ${daysAgo(60)}, 9, ${daysAgo(31)});
`;

const cases: readonly Case[] = [
  {
    table: 'login_tokens',
    stay: [`('new', '@alice:here', ${nowMs + 1})`],
    go: [`('old', '@alice:here', ${nowMs})`],
  },
  {
    table: 'uia_sessions',
    stay: [`('new', 'o', 'f', '{}', NULL, ${nowMs + 1})`],
    go: [`('old', 'o', 'f', '{}', NULL, ${nowMs})`],
  },
  {
    table: 'openid_tokens',
    stay: [`('new', '@alice:here', ${nowMs + 1})`],
    go: [`('old', '@alice:here', ${nowMs})`],
  },
  {
    table: 'login_addresses',
    stay: [`('@alice:here', '192.0.2.1', ${daysAgo(89)})`],
    go: [`('@alice:here', '192.0.2.2', ${daysAgo(90)})`],
  },
  {
    table: 'registration_tokens',
    stay: [`('new', 1, 1, 1, ${daysAgo(89)})`, `('endless', 1, 1, 1, NULL)`],
    go: [`('old', 1, 0, 1, ${daysAgo(91)})`],
  },
  {
    table: 'reports',
    columns: '(reporter, received_at_ms)',
    stay: [`('@alice:here', ${daysAgo(729)})`],
    go: [`('@alice:here', ${daysAgo(731)})`],
  },
  {
    table: 'account_data',
    stay: [
      `('@alice:here', '', 'm.old', '{}', 1)`,
      `('@alice:here', '!one:here', 'm.tag', '{}', 1)`,
      // Forgotten yesterday, and a room that is not known at all.
      `('@alice:here', '!two:here', 'm.tag', '{}', 1)`,
      `('@eve:here', '!unknown:here', 'm.tag', '{}', 1)`,
    ],
    go: [`('@eve:here', '!two:here', 'm.tag', '{}', 1)`],
  },
  {
    table: 'user_directory',
    stay: [`('@alice:here', 0, 'a', NULL, '')`, `('@bob:there', 1, 'b', NULL, '')`],
    go: [
      `('@eve:here', 0, 'e', NULL, '')`,
      `('@carol:there', 1, 'c', NULL, '')`,
      `('@bob:there', 9, 'b', NULL, '')`,
    ],
  },
  {
    table: 'to_device_message_ids',
    stay: [`('there', 'new', ${daysAgo(6)})`],
    go: [`('there', 'old', ${daysAgo(8)})`],
  },
  {
    table: 'to_device_messages',
    stay: [`('@alice:here', 'A', 101, '{}')`],
    go: [`('@alice:here', 'A', 100, '{}')`, `('@alice:here', 'LOGGED_OUT', 999, '{}')`],
  },
  {
    table: 'remote_device_lists',
    columns: '(user_id, stream_id, synced_pos)',
    stay: [`('@bob:there', 1, 1)`, `('@just:asked', 1, 950)`],
    // Nobody here is in room 3 any more.
    go: [`('@carol:there', 1, 400)`, `('@far:there', 1, 400)`],
  },
  {
    table: 'remote_devices',
    columns: '(user_id, device_id, keys)',
    stay: [`('@bob:there', 'B', '{}')`],
    go: [`('@carol:there', 'C', '{}')`, `('@listless:there', 'L', '{}')`],
  },
  {
    table: 'cross_signing_keys',
    stay: [`('@alice:here', 'master', 'a', '{}')`, `('@bob:there', 'master', 'b', '{}')`],
    go: [`('@carol:there', 'master', 'c', '{}')`],
  },
  {
    table: 'device_list_users',
    stay: [`('@eve:here', 1, 1)`, `('@bob:there', 1, 1)`, `('@far:there', 101, 1)`],
    go: [`('@carol:there', 100, 1)`],
  },
  {
    table: 'unread_counts',
    stay: [`('@alice:here', 1, 1, 1, 1, '[]')`],
    go: [`('@alice:here', 2, 1, 1, 1, '[]')`, `('@eve:here', 1, 1, 1, 1, '[]')`],
  },
  {
    table: 'receipts',
    stay: [
      `(1, '@bob:there', 'm.read', '', '$a', 5, 1, 5)`,
      `(1, '@bob:there', 'm.read', '$new', '$b', NULL, ${daysAgo(29)}, 6)`,
      // Left 20 days ago at most.
      `(1, '@dan:there', 'm.read', '', '$a', 5, 1, 7)`,
    ],
    go: [
      `(1, '@carol:there', 'm.read', '', '$a', 5, 1, 8)`,
      `(1, '@bob:there', 'm.read', '$invented', '$c', NULL, ${daysAgo(31)}, 9)`,
      `(9, '@bob:there', 'm.read', '', '$a', 5, 1, 10)`,
    ],
  },
  {
    table: 'outbound_edus',
    stay: [`(450, 'm.x', '{}')`, `(1001, 'm.x', '{}')`],
    go: [`(300, 'm.x', '{}')`, `(301, 'm.x', '{}')`],
  },
  {
    table: 'outbound_edu_destinations',
    stay: [`('behind', 450)`, `('met', 1001)`],
    go: [`('behind', 300)`, `('met', 450)`, `('gone', 450)`, `('gone', 1001)`],
  },
  {
    table: 'destinations',
    columns: '(destination, sent_pos, last_success_ms, failing_since_ms)',
    stay: [
      `('met', NULL, ${daysAgo(200)}, NULL)`,
      `('recent', NULL, ${daysAgo(89)}, NULL)`,
      `('owed', 1, ${daysAgo(200)}, NULL)`,
    ],
    go: [
      `('past', NULL, ${daysAgo(91)}, NULL)`,
      `('never', NULL, NULL, ${daysAgo(91)})`,
      `('unheard', NULL, NULL, NULL)`,
    ],
  },
  {
    table: 'server_rooms',
    stay: [
      `('again', 1, 300, 400)`,
      `('late', 1, 100, 600)`,
      `('late', 1, 700, NULL)`,
      `('owed', 1, 5, 10)`,
      `('owed', 1, 20, NULL)`,
    ],
    go: [`('again', 1, 50, 100)`, `('again', 1, 110, 200)`],
  },
  {
    table: 'remote_key_documents',
    stay: [
      `('met', 1, '{}', 1, ${daysAgo(400)})`,
      `('past', 1, '{}', 1, ${daysAgo(400)})`,
      `('asked', 1, '{}', 1, ${daysAgo(29)})`,
    ],
    go: [`('invented', 1, '{}', 1, ${daysAgo(31)})`],
  },
  {
    table: 'remote_keys',
    stay: [`('met', 'k', 'p', 1, 1)`, `('past', 'k', 'p', 1, 1)`, `('asked', 'k', 'p', 1, 1)`],
    go: [`('invented', 'k', 'p', 1, 1)`],
  },
  {
    table: 'inbound_pdus',
    columns: '(room_id, event_id, origin, received_at_ms, json)',
    stay: [
      `('!one:here', '$old', 'there', ${daysAgo(30)}, '{}')`,
      `('!unknown:x', '$new', 'there', ${daysAgo(6)}, '{}')`,
    ],
    go: [`('!far:there', '$old', 'there', ${daysAgo(8)}, '{}')`],
  },
];

describe('clean-ups', () => {
  let test: TestDatabase;
  const rowsOf = async (table: string): Promise<string[]> => {
    const { rows } = await test.database.query<{ row: string }>({
      text: `SELECT t::text AS row FROM ${table} t ORDER BY 1`,
    });
    return rows.map(({ row }) => row);
  };
  const insert = (table: string, columns: string, rows: readonly string[]) =>
    test.database.query({ text: `INSERT INTO ${table} ${columns} VALUES ${rows.join(', ')}` });

  const expected = new Map<string, string[]>();
  beforeAll(async () => {
    test = await testDatabase();
    for (const [days, position] of times) {
      await test.database.query({
        text: `INSERT INTO log_times VALUES (${daysAgo(days)}, ${position})`,
      });
    }
    await test.database.query({ text: world });
    for (const { table, columns = '', stay } of cases) await insert(table, columns, stay);
    for (const { table } of cases) expected.set(table, await rowsOf(table));
    for (const { table, columns = '', go } of cases) await insert(table, columns, go);
    const clock = new FakeClock(nowMs);
    const { database } = test;
    const upkeep = createUpkeep({ database, clock, logger: silentLogger });
    await upkeep.runDue();
  });
  afterAll(() => test.close());

  it.each(cases.map(({ table }) => table))('of %s leave what is in use', async (table) => {
    expect(await rowsOf(table)).toEqual(expected.get(table));
  });

  it('are all tried here, but for those that have tests of their own', () => {
    // abandoned-rooms.test.ts has the tables of rooms.
    const rooms = abandonedRoomTasks(undefined).flatMap(({ tables }) => tables);
    const elsewhere = ['log_times', 'state_changes', ...rooms];
    const tried = new Set([...cases.map(({ table }) => table), ...elsewhere]);
    const untried = upkeepTasks()
      .flatMap(({ tables }) => tables)
      .filter((name) => !tried.has(name));
    expect(untried).toEqual([]);
  });

  it('keep the newest 10,000 EDUs for a server that fails', async () => {
    const { database } = test;
    await database.query({
      text: `INSERT INTO destinations (destination, sent_pos, failure_count, failing_since_ms)
          VALUES ('flooded', 1, 1, ${daysAgo(1)});
        INSERT INTO outbound_edu_destinations SELECT 'flooded', n FROM generate_series(2001, 13200) n`,
    });
    const upkeep = createUpkeep({ database, clock: new FakeClock(nowMs), logger: silentLogger });
    const reports = await upkeep.runDue();
    const { rows } = await database.query({
      text: `SELECT count(*) AS count, min(stream_pos) AS oldest FROM outbound_edu_destinations
        WHERE destination = 'flooded'`,
    });
    expect(rows).toEqual([{ count: 10_000, oldest: 3201 }]);
    expect(Math.max(...reports.map(({ deleted }) => deleted))).toBeLessThanOrEqual(500);
  });
});
