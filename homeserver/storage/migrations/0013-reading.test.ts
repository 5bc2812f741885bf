import { silentLogger } from '../../ops/logger.ts';
import { localUser, testCore } from '../../testing/test-core.ts';
import { emptyTestDatabase, type TestDatabase } from '../../testing/test-database.ts';
import { testRooms } from '../../testing/test-rooms.ts';
import { migrate } from '../migrate.ts';
import { readingMigration } from './0013-reading.ts';
import { migrations } from './index.ts';

describe('a database of an earlier release', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await emptyTestDatabase();
    const before = migrations.filter(({ name }) => name < readingMigration.name);
    await migrate(test.database, before, silentLogger);
    await test.database.query({
      text: `
        INSERT INTO room_heads VALUES (1, '{11}', 1), (2, '{21}', 2);
        INSERT INTO current_state (room_nid, type, state_key, event_nid, membership)
          VALUES (1, 'm.room.member', '@a:x', 11, 'join'), (1, 'm.room.member', '@b:x', 12, 'join'),
            (1, 'm.room.member', '@c:x', 13, 'invite'), (1, 'm.room.member', '@d:x', 14, 'leave'),
            (1, 'm.room.name', '', 15, null);`,
    });
    await migrate(test.database, migrations, silentLogger);
  });
  afterAll(() => test.close());

  it('has the members of its rooms counted', async () => {
    const { rows } = await test.database.query({
      text: 'SELECT room_nid, joined, invited FROM room_heads ORDER BY room_nid',
    });
    expect(rows).toEqual([
      { room_nid: 1, joined: 2, invited: 1 },
      { room_nid: 2, joined: 0, invited: 0 },
    ]);
  });
});

it('the members of a room are counted with every change', async () => {
  const test = await testCore();
  const rooms = testRooms(test.core);
  const [alice, bob, carol] = [localUser('alice'), localUser('bob'), localUser('carol')];
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat', invite: [carol] });
  await rooms.membership.join(bob, roomId);
  const counts = async () => {
    const { rows: found } = await test.core.database.query({
      text: 'SELECT joined, invited FROM room_heads',
    });
    return found;
  };
  expect(await counts()).toEqual([{ joined: 2, invited: 1 }]);
  await rooms.membership.leave(bob, roomId);
  await rooms.membership.join(carol, roomId);
  await rooms.say(roomId, carol, 'hello');
  expect(await counts()).toEqual([{ joined: 2, invited: 0 }]);
  await test.close();
});
