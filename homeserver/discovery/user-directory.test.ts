/** What keeping the user directory costs does not grow with each room. */
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
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
