import { localUser } from '../testing/test-core.ts';
import { testDatabase } from '../testing/test-database.ts';
import { anyRoom, putDirectoryUsers } from './user-directory.ts';

it('a name that comes again is not written again', async () => {
  const { database, close } = await testDatabase();
  const put = (displayName: string) =>
    database.transaction((tx) =>
      putDirectoryUsers(tx, [
        {
          userId: localUser('alice'),
          roomNid: anyRoom,
          displayName,
          avatarUrl: undefined,
          words: ['alice', displayName.toLowerCase()],
        },
      ]),
    );
  const row = async () =>
    (await database.query({ text: 'SELECT ctid::text, display_name FROM user_directory' })).rows;
  await put('Ann');
  const first = await row();
  await put('Ann');
  expect(await row()).toEqual(first);
  await put('Liz');
  expect(await row()).toEqual([{ ctid: expect.any(String), display_name: 'Liz' }]);
  await close();
});
