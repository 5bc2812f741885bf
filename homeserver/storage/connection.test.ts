import { matrixError } from '../../spec/errors.ts';
import { silentLogger } from '../ops/logger.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { connectDatabase, isDatabaseAway } from './connection.ts';

describe('the connection pool', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await testDatabase();
  });
  afterAll(() => test.close());

  const cutOthers = () =>
    test.database.query({
      text:
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity ' +
        'WHERE datname = current_database() AND pid <> pg_backend_pid()',
    });

  it('survives losing its connections, idle and in use, and connects again', async () => {
    const victim = connectDatabase({
      connection: { connectionString: test.url },
      poolSize: 3,
      connectTimeoutMs: 5_000,
      logger: silentLogger,
    });
    try {
      await Promise.all([1, 2, 3].map(() => victim.query({ text: 'SELECT pg_sleep(0.01)' })));
      const cut = victim
        .transaction(async (tx) => {
          await tx.query({ text: 'SELECT 1' });
          await cutOthers();
          await tx.query({ text: 'SELECT 1' });
        })
        .catch((error: unknown) => error);
      expect(isDatabaseAway(await cut)).toBe(true);
      // Idle connections that were cut may not have noticed yet; each fails at most one statement.
      for (let connection = 0; connection < 3; connection += 1) {
        const failure = await victim.query({ text: 'SELECT 1' }).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(failure === undefined || isDatabaseAway(failure)).toBe(true);
      }
      expect((await victim.query({ text: 'SELECT 1 AS one' })).rows).toEqual([{ one: 1 }]);
    } finally {
      await victim.close();
    }
  });

  it('has the database end sessions of servers that are gone without a word', async () => {
    const { rows } = await test.database.query<{ ms: number }>({
      text: `SELECT setting::int AS ms FROM pg_settings WHERE name = 'idle_session_timeout'`,
    });
    // Longer than the pool keeps an idle one, so that no session in use is ended.
    expect(rows[0]?.ms).toBe(90_000);
  });

  it('keeps a connection whose transaction was given up for a reason of its own', async () => {
    const { database } = test;
    const backend = async () =>
      (await database.query<{ pid: number }>({ text: 'SELECT pg_backend_pid() AS pid' })).rows;
    const before = await backend();
    const refused = database.transaction(async (tx) => {
      await tx.query({ text: 'CREATE TABLE half_made ()' });
      throw matrixError('M_FORBIDDEN', 'not allowed');
    });
    await expect(refused).rejects.toThrow('not allowed');
    expect(await backend()).toEqual(before);
    await expect(database.query({ text: 'TABLE half_made' })).rejects.toThrow('does not exist');
  });

  it('tells a database that is away from a statement that is wrong', async () => {
    const away = connectDatabase({
      connection: { host: '127.0.0.1', port: 1, user: 'x', database: 'x' },
      poolSize: 1,
      connectTimeoutMs: 1_000,
      logger: silentLogger,
    });
    const refused = await away.query({ text: 'SELECT 1' }).catch((error: unknown) => error);
    expect(isDatabaseAway(refused)).toBe(true);
    await away.close();
    const wrong = await test.database.query({ text: 'SELEKT' }).catch((error: unknown) => error);
    expect(isDatabaseAway(wrong)).toBe(false);
  });
});
