import { silentLogger } from '../ops/logger.ts';
import { eventually } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { Log, LogWriteFailed } from './log.ts';

let test: TestDatabase;
let log: Log;

beforeEach(async () => {
  test = await testDatabase();
  log = await Log.open(test.database, silentLogger);
});
afterEach(async () => {
  await log.close();
  await test.close();
});

/** Ends every session, as a crash of the database does, and waits until the pool has noticed. */
const cutConnections = async (): Promise<void> => {
  await test.database.query({
    text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  });
  const { pool } = test.database;
  await eventually('only the session that cut the others is left', () => pool.totalCount === 1);
};

describe('the log, when its connection is lost', () => {
  it('gives the connection back to the pool and takes another', async () => {
    for (let loss = 0; loss < 3; loss += 1) {
      await log.append({ parts: [] });
      await cutConnections();
    }
    await log.append({ parts: [] });
  });

  it('writes nothing that was built on what the new connection has outdated', async () => {
    await log.append({ parts: [] });
    await cutConnections();
    // A commit whose answer was lost: the position moves on.
    await test.database.query({ text: `SELECT nextval('stream_positions')` });
    let valid = true;
    let committed = false;
    log.onAdvance(() => {
      valid = false;
    });
    const write = log.append({
      parts: [],
      stillValid: () => valid,
      committed: () => {
        committed = true;
      },
    });
    await expect(write).rejects.toThrow(LogWriteFailed);
    expect(committed).toBe(false);
    expect(log.position).toBe(1);
  });
});
