import type { UserId } from '../../spec/identifiers.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { AccountNews } from './account-news.ts';

const ALICE = '@alice:parley.test' as UserId;
const BOB = '@bob:parley.test' as UserId;

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
});
afterAll(() => test.close());

/** Another process, which says things and hears nothing. */
const elsewhere = () =>
  new AccountNews(test.database, silentLogger, systemRandom, {
    accountChanged: () => undefined,
    tokensChanged: () => undefined,
    missed: () => undefined,
  });

/** Resolves with what is heard, one after another. */
const listening = async () => {
  const heard: string[] = [];
  let wake: () => void = () => undefined;
  const tell = (news: string): void => {
    heard.push(news);
    wake();
  };
  const news = new AccountNews(test.database, silentLogger, systemRandom, {
    accountChanged: (userId) => tell(userId),
    tokensChanged: (userId) => tell(`tokens of ${userId}`),
    missed: () => tell('missed'),
  });
  await news.start();
  const next = async (): Promise<string> => {
    while (heard.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return heard.shift()!;
  };
  expect(await next()).toBe('missed');
  return { news, next };
};

describe('account news', () => {
  it('come with the commit, and not of what is rolled back', async () => {
    const { news, next } = await listening();
    await expect(
      test.database.transaction(async (tx) => {
        await elsewhere().announce(tx, BOB);
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    // What one says oneself is no news either.
    await test.database.transaction((tx) => news.announce(tx, BOB));
    await test.database.transaction((tx) => elsewhere().announce(tx, ALICE));
    expect(await next()).toBe(ALICE);
    await test.database.transaction((tx) => elsewhere().announceTokens(tx, ALICE));
    expect(await next()).toBe(`tokens of ${ALICE}`);
    news.stop();
  });

  it('say so where some may have been missed, and go on', async () => {
    const { news, next } = await listening();
    await test.database.query({
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
    });
    expect(await next()).toBe('missed');
    // Once it has connected again.
    expect(await next()).toBe('missed');
    await test.database.transaction((tx) => elsewhere().announce(tx, ALICE));
    expect(await next()).toBe(ALICE);
    news.stop();
  });
});
