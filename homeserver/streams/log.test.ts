import { silentLogger } from '../ops/logger.ts';
import { eventually } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { Log, LogWriteFailed, unknownPosition } from './log.ts';

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

/** Ends every session, as a crash of the database does. */
const cutSessions = () =>
  test.database.query({
    text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  });

const cutConnections = async (): Promise<void> => {
  await cutSessions();
  await eventually('the log has lost its session', () => !log.isOpen);
};

describe('the log, when its session is lost', () => {
  it('takes another session', async () => {
    for (let loss = 0; loss < 3; loss += 1) {
      await log.append({ parts: [] });
      await cutConnections();
    }
    await log.append({ parts: [] });
  });

  it('writes nothing that was built on what the new session has outdated', async () => {
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

  it('takes another although nobody writes, and says where the log is', async () => {
    await log.close();
    log = await Log.open(test.database, silentLogger, { session: { heartbeatMs: 20 } });
    const resets: number[] = [];
    log.follow({ reset: (position) => resets.push(position) });
    const told = new Promise<number>((resolve) => log.onAdvance(resolve));
    await test.database.query({ text: `SELECT nextval('stream_positions')` });
    await cutSessions();
    expect(await told).toBe(1);
    expect(resets).toEqual([unknownPosition, 1]);
    expect(log.isOpen).toBe(true);
  });
});
