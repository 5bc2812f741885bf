import { silentLogger } from '../../ops/logger.ts';
import { emptyTestDatabase, type TestDatabase } from '../../testing/test-database.ts';
import { migrate } from '../migrate.ts';
import { outsideRoomsMigration } from './0017-outside-rooms.ts';
import { migrations } from './index.ts';

describe('what was known of rooms before', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await emptyTestDatabase();
    const before = migrations.filter(({ name }) => name < outsideRoomsMigration.name);
    await migrate(test.database, before, silentLogger);
    const json = JSON.stringify({ content: { room_version: '11' } });
    await test.database.query({
      text: `
        INSERT INTO rooms VALUES (1, '!joined:x', '1', 7), (2, '!invited:x', '10', 8), (3, '!old:x', '1', 9);
        INSERT INTO room_heads VALUES (1, '{11}', 0), (3, '{31}', 0);
        INSERT INTO events (room_nid, event_nid, event_id, type, state_key, sender, depth,
            origin_server_ts, json)
          VALUES (1, 11, '$a', 'm.room.create', '', '@c:x', 1, 0, '${json}'),
            (2, 21, '$b', 'm.room.member', '@me:here', '@them:x:8448', 1, 0, '{}'),
            (3, 31, '$c', 'm.room.create', '', '@c:x', 1, 0, '{"content":{}}');
        INSERT INTO current_state (room_nid, type, state_key, event_nid)
          VALUES (1, 'm.room.create', '', 11), (3, 'm.room.create', '', 31);
        INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos, membership_pos,
            stripped_state)
          VALUES ('@me:here', 2, 'invite', 21, 1, 1, '[]'), ('@me:here', 1, 'join', 12, 1, 1, null);`,
    });
    await migrate(test.database, migrations, silentLogger);
  });
  afterAll(() => test.close());

  it('is mended by the create event, and kept apart where there is none', async () => {
    const { rows } = await test.database.query({
      text: 'SELECT room_nid, version FROM rooms ORDER BY room_nid',
    });
    expect(rows).toEqual([
      { room_nid: 1, version: '11' },
      { room_nid: 2, version: null },
      { room_nid: 3, version: '1' },
    ]);
  });

  it('leaves invites what they need to be answered', async () => {
    const { rows } = await test.database.query({ text: 'SELECT * FROM outside_memberships' });
    expect(rows).toEqual([
      {
        user_id: '@me:here',
        room_nid: 2,
        event_nid: 21,
        server: 'x:8448',
        room_version: '10',
        bytes: 2,
        received_at_ms: 8,
      },
    ]);
  });
});
