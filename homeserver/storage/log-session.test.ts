import { createConnection, createServer, type Socket } from 'node:net';
import { silentLogger } from '../ops/logger.ts';
import { Log, LogWriteFailed, rowsOf } from '../streams/log.ts';
import { eventually } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { connectDatabase } from './connection.ts';
import type { Database } from './database.ts';
import { LogHeld, LogSessions } from './log-session.ts';

let test: TestDatabase;
let database: Database;
beforeEach(async () => {
  test = await testDatabase();
  database = test.database;
});
afterEach(() => test.close());

const quick = { waitMs: 100, heartbeatMs: 20, maxSilentMs: 400, endMs: 200 };
/** A busy machine may keep a holder silent for a while that does not sleep. */
const patient = { ...quick, maxSilentMs: 30_000 };

const pidOfHolder = async (): Promise<number> => {
  const { rows } = await database.query<{ pid: number }>({
    text: `SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND d.datname = current_database()`,
  });
  return rows[0]?.pid as number;
};

describe('the session of the log', () => {
  it('is refused to a second server, which is told who has it', async () => {
    const log = await Log.open(database, silentLogger, { session: patient });
    const pid = await pidOfHolder();
    const second = Log.open(database, silentLogger, { session: patient });
    await expect(second).rejects.toThrow(LogHeld);
    await expect(second).rejects.toMatchObject({
      exitCode: 75,
      message: expect.stringContaining(`process ${process.pid}; session ${pid} of the database`),
    });
    await log.close();
    await (await Log.open(database, silentLogger, { session: patient })).close();
  });

  it('is waited for while its holder stops', async () => {
    const first = await new LogSessions(database, silentLogger, patient).open();
    const second = new LogSessions(database, silentLogger, { ...patient, waitMs: 10_000 }).open();
    await first.close();
    await (await second).close();
  });

  it('is taken from a holder that has fallen silent, which can write no more', async () => {
    const superseded: LogHeld[] = [];
    const asleep = await Log.open(database, silentLogger, {
      session: { ...quick, heartbeatMs: 3_600_000 },
      onSuperseded: (error) => superseded.push(error),
    });
    const log = await Log.open(database, silentLogger, { session: quick });
    await expect(asleep.append({ parts: [] })).rejects.toThrow(LogWriteFailed);
    await expect(asleep.append({ parts: [] })).rejects.toThrow('Another server uses this database');
    expect(superseded.length).toBeGreaterThan(0);
    await log.append({ parts: [] });
    await asleep.close();
    await log.close();
  });

  it('is not written to while the one before it is stopped, and is found again afterwards', async () => {
    await database.query({ text: 'CREATE TABLE notes (note text, pos bigint)' });
    const log = await Log.open(database, silentLogger, {
      session: { ...patient, answerTimeoutMs: 2_000 },
    });
    const notes = {
      name: 'notes',
      answer: () => null,
      take: () => undefined,
      needsTransaction: () => false,
      async write(tx: Pick<Database, 'query'>, rows: readonly string[]) {
        const result = await tx.query<{ pos: number }>({
          text: `INSERT INTO notes SELECT n, nextval('stream_positions') FROM unnest($1::text[]) AS n
            RETURNING pos`,
          values: [rows],
        });
        return Math.max(...result.rows.map(({ pos }) => pos));
      },
    };
    const append = (text: string) => log.append({ parts: [rowsOf(notes, [text])] });
    await append('before');
    const pid = await pidOfHolder();
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(append('frozen')).rejects.toThrow('Query read timeout');
      await expect(append('behind')).rejects.toThrow('does not end');
      expect(log.isOpen).toBe(false);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await eventually('a new session', () => log.isOpen);
    await append('after');
    const { rows } = await database.query<{ note: string; pos: number }>({
      text: 'SELECT * FROM notes ORDER BY pos',
    });
    expect(rows.map(({ note }) => note)).not.toContain('behind');
    expect(rows.at(-1)).toEqual({ note: 'after', pos: log.position });
    await log.close();
  });

  it('is refused through a pooler, whose sessions change under way', async () => {
    const { host, port, user } = JSON.parse(process.env['PARLEY_TEST_POSTGRES'] as string);
    const sockets: Socket[] = [];
    // As poolers do, it makes up the number of the process that serves the session.
    const pooler = createServer((client) => {
      const server = createConnection(`${host}/.s.PGSQL.${port}`);
      sockets.push(client, server);
      client.pipe(server);
      server.on('data', (data) => {
        const at = data.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
        if (at >= 0) data.writeInt32BE(data.readInt32BE(at + 5) + 1, at + 5);
        client.write(data);
      });
      for (const socket of [client, server]) socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve));
    const pooled = connectDatabase({
      connection: {
        host: '127.0.0.1',
        port: (pooler.address() as { port: number }).port,
        user,
        database: new URL(test.url.replace('@/', '@localhost/')).pathname.slice(1),
      },
      poolSize: 1,
      connectTimeoutMs: 5_000,
      logger: silentLogger,
    });
    await expect(new LogSessions(pooled, silentLogger).open()).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining('PgBouncer'),
    });
    await pooled.close();
    for (const socket of sockets) socket.destroy();
    pooler.close();
  });
});
