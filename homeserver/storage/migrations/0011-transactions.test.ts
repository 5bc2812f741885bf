import { silentLogger } from '../../ops/logger.ts';
import { emptyTestDatabase } from '../../testing/test-database.ts';
import { migrate } from '../migrate.ts';
import { transactionsMigration } from './0011-transactions.ts';
import { migrations } from './index.ts';

it('repeats that earlier releases took for new keep their event and lose their transaction', async () => {
  const test = await emptyTestDatabase();
  const before = migrations.filter(({ name }) => name < transactionsMigration.name);
  await migrate(test.database, before, silentLogger);
  await test.database.query({
    text: `
      INSERT INTO rooms VALUES (1, '!room:here', '12', 7);
      INSERT INTO events (room_nid, event_nid, event_id, type, sender, depth, origin_server_ts,
          sender_device, txn_id, json)
        VALUES (1, 1, '$a', 'm.room.message', '@me:here', 1, 0, 'D', 'A', '{}'),
          (1, 2, '$b', 'm.room.message', '@me:here', 1, 0, 'D', 'A', '{}'),
          (1, 3, '$c', 'm.sticker', '@me:here', 1, 0, 'D', 'A', '{}'),
          (1, 4, '$d', 'm.room.message', '@me:here', 1, 0, '', 'A', '{}'),
          (1, 5, '$e', 'm.room.message', '@me:here', 1, 0, 'D', NULL, '{}');`,
  });
  await migrate(test.database, migrations, silentLogger);
  const { rows } = await test.database.query({
    text: 'SELECT event_id FROM events WHERE txn_id IS NOT NULL ORDER BY event_nid',
  });
  expect(rows.map(({ event_id }) => event_id)).toEqual(['$a', '$c', '$d']);
  await test.close();
});
