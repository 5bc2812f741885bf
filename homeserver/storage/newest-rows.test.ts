import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { devicesWithMessages, newestAccountData, newestReceiptRows } from './newest-rows.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
  await test.database.query({
    text: `INSERT INTO receipts (room_nid, user_id, receipt_type, thread_id, event_id, event_pos,
        received_at_ms, stream_pos)
      SELECT n % 50, '@u' || n, 'm.read', '', '$e', 1, 0, n FROM generate_series(1, 30000) n`,
  });
  await test.database.query({
    text: `INSERT INTO account_data (user_id, room_id, type, content, stream_pos)
      SELECT '@u' || n, '', 'm.test', repeat('x', 1000), n FROM generate_series(1, 1000) n`,
  });
  await test.database.query({
    text: `INSERT INTO to_device_messages (user_id, device_id, stream_pos, event)
      SELECT '@u' || n % 7, 'D' || n % 3, n, '{}' FROM generate_series(1, 210) n`,
  });
});
afterAll(() => test.close());

it('gives the newest rows, and from where on these are all', async () => {
  const all = await newestReceiptRows(test.database, 29_000);
  expect(all.completeAfter).toBe(29_000);
  expect(all.rows.map(({ position }) => position)).toEqual(
    Array.from({ length: 1_000 }, (_, index) => 30_000 - index),
  );
  const cut = await newestReceiptRows(test.database, 0);
  // No more than twenty thousand, of which the last may share its position with others.
  expect(cut.completeAfter).toBe(10_001);
  expect(cut.rows).toHaveLength(19_999);
});

it('stops where the contents are enough', async () => {
  const { completeAfter, rows } = await newestAccountData(test.database, 0, 10_500);
  expect(rows).toHaveLength(10);
  expect(completeAfter).toBe(990);
  const all = await newestAccountData(test.database, 0, 10_000_000);
  expect(all).toMatchObject({ completeAfter: 0 });
  expect(all.rows).toHaveLength(1_000);
});

it('names each device for which messages wait once', async () => {
  const { completeAfter, rows } = await devicesWithMessages(test.database);
  expect(completeAfter).toBe(0);
  expect(rows).toHaveLength(21);
  expect(rows[0]).toEqual({ key: '@u0 D0', position: 210, row: undefined });
});

it('finds them by position', async () => {
  await test.database.query({ text: 'ANALYZE receipts, account_data' });
  const { rows } = await test.database.query<{ 'QUERY PLAN': string }>({
    text: 'EXPLAIN SELECT * FROM receipts WHERE stream_pos > 29000 ORDER BY stream_pos DESC LIMIT 10',
  });
  expect(rows.map((row) => row['QUERY PLAN']).join()).toContain('receipts_positions');
});
