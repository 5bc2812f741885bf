import type { UserId } from '../../spec/identifiers.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { eraseOwnData } from './erasure.ts';
import { newestPresence, type PresenceRow, putPresence } from './presence.ts';
import { insertUser, markDeactivated } from './users.ts';

let test: TestDatabase;
beforeEach(async () => {
  test = await testDatabase();
});
afterEach(() => test.close());

const row = (userId: string, serial: number): PresenceRow => ({
  userId: userId as UserId,
  presence: 'online',
  statusMsg: 'here\u0000',
  lastActiveMs: 5,
  serial,
});

it('keeps the newest of each person, and gives them back oldest first', async () => {
  await putPresence(test.database, [row('@a:x', 3), row('@b:x', 2)]);
  await putPresence(test.database, [row('@a:x', 1), row('@c:x', 1)]);
  const shown = { presence: 'online', statusMsg: 'here\ufffd', lastActiveMs: 5 };
  expect(await newestPresence(test.database, 2)).toEqual([
    { userId: '@b:x', serial: 2, ...shown },
    { userId: '@a:x', serial: 3, ...shown },
  ]);
});

it('keeps nothing of people who asked to be erased, then or later', async () => {
  const userId = '@gone:x' as UserId;
  await putPresence(test.database, [row(userId, 1)]);
  await test.database.transaction(async (tx) => {
    await insertUser(tx, {
      userId,
      passwordHash: undefined,
      isAdmin: false,
      isGuest: false,
      appserviceId: undefined,
      createdAtMs: 0,
    });
    await markDeactivated(tx, userId, true, 1);
    await eraseOwnData(tx, userId);
  });
  await putPresence(test.database, [row(userId, 2)]);
  expect(await newestPresence(test.database, 10)).toEqual([]);
});
