/**
 * The fence around the log: the one session of PostgreSQL that may write it. It holds an advisory
 * lock for as long as it lives, and every write of the log goes through it, so a write and the right
 * to write cannot come apart: whoever has lost the lock has lost the session too.
 *
 * A session that takes the lock after another's end sees everything that one committed, and nothing
 * of it can still arrive. That holds for the sessions of other processes and for this one's own lost
 * sessions, whose backends may go on executing long after their connection is gone.
 *
 * A holder shows that it lives by its statements: an idle one makes one every `heartbeatMs`, which
 * others see in pg_stat_activity. Whoever stays silent for `maxSilentMs` is ended; that is safe
 * however wrong the judgement, because its session ends with it.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { StartFailure } from '../ops/start-failure.ts';
import type { Database } from './database.ts';

export interface LogSessionOptions {
  /** What the database lets one statement of the log take. */
  readonly statementTimeoutMs?: number;
  /** What this side lets it take, should the network or the database be frozen. */
  readonly answerTimeoutMs?: number;
  /** How often an idle holder makes itself seen. */
  readonly heartbeatMs?: number;
  /** A holder that has made no statement for so long is ended. */
  readonly maxSilentMs?: number;
  /** How long a living holder is given to stop. */
  readonly waitMs?: number;
  /** How long an ended one may take to be gone. */
  readonly endMs?: number;
}

export const logSessionDefaults: Required<LogSessionOptions> = {
  statementTimeoutMs: 30_000,
  answerTimeoutMs: 35_000,
  heartbeatMs: 5_000,
  maxSilentMs: 40_000,
  waitMs: 8_000,
  endMs: 10_000,
};

/** "parley" in ASCII, cut to 31 bits, and which of its locks: the log's. */
const lockKey = [0x7061726c, 1];
const lockTimeoutMs = 10_000;
const pollMs = 25;
/** Lost sessions that may still be there. */
const maxOurs = 16;

/** A process of the database, precisely enough for its number to be used again. */
interface Backend {
  readonly pid: number;
  readonly started: string;
}

interface Holder extends Backend {
  readonly name: string;
  readonly address: string;
  readonly silentMs: number;
}

const maxNameBytes = 63;
const sessionName = (): string =>
  `parley log, ${hostname()} process ${process.pid}`.slice(0, maxNameBytes);

const quickLossDetection = [
  // A client that is gone is noticed although nothing is sent to it.
  'SET tcp_keepalives_idle = 5',
  'SET tcp_keepalives_interval = 2',
  'SET tcp_keepalives_count = 3',
  'SET tcp_user_timeout = 10000',
  // While a statement runs or waits, too.
  'SET client_connection_check_interval = 1000',
];

/** Another living server holds the log. */
export class LogHeld extends StartFailure {
  constructor({ name, pid, address }: Holder) {
    super(
      'locked',
      `Another server uses this database (${name || 'unnamed'}; session ${pid} of the database, from ` +
        `${address}). One database serves one server: stop that one first, or give this one a ` +
        'database of its own.',
    );
    this.name = 'LogHeld';
  }
}

/** A session that holds the lock. Statements are made one after the other. */
export class LogSession {
  readonly client: pg.Client;
  readonly backend: Backend;
  #isLost = false;
  #onLost: ((error: Error) => void) | undefined;

  constructor(client: pg.Client, backend: Backend) {
    this.client = client;
    this.backend = backend;
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('The log session has ended')));
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Called once, should the connection end without `close` or `abandon`. */
  onLost(listener: (error: Error) => void): void {
    this.#onLost = listener;
  }

  /** The newest position that was ever given out. */
  async position(): Promise<number> {
    const { rows } = await this.client.query<{ position: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS position FROM stream_positions',
    );
    return rows[0]?.position ?? 0;
  }

  async beat(): Promise<void> {
    await this.client.query('SELECT 1');
  }

  /** Cuts the connection, without asking the database: what it executes may go on for a while. */
  abandon(): void {
    this.#isLost = true;
    this.#onLost = undefined;
    cut(this.client);
  }

  /** Gives the lock back. */
  async close(): Promise<void> {
    const wasLost = this.#isLost;
    this.#isLost = true;
    this.#onLost = undefined;
    try {
      // Sooner than the database notices the end of the connection.
      if (!wasLost) await this.client.query('SELECT pg_advisory_unlock($1, $2)', lockKey);
      await this.client.end();
    } catch {
      cut(this.client);
    }
  }

  #lose(error: Error): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#onLost?.(error);
  }
}

const cut = (client: pg.Client): void => {
  // `end` would wait for whatever the frozen connection still has to say.
  (
    client as unknown as { connection: { stream: { destroy(): void } } }
  ).connection.stream.destroy();
};

/** Opens the log's session, time and again in the life of a process; never two at once. */
export class LogSessions {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #options: Required<LogSessionOptions>;
  /** Those of this process, lost or closed: nobody needs to be asked before one is ended. */
  #ours: Backend[] = [];

  constructor(database: Database, logger: Logger, options: LogSessionOptions = {}) {
    this.#database = database;
    this.#logger = logger;
    this.#options = { ...logSessionDefaults, ...options };
  }

  /**
   * Resolves once everything an earlier holder did is committed or will never be.
   * @throws {LogHeld} when a living server holds the log and does not let go
   * @throws {StartFailure} when the database's sessions cannot hold a lock
   */
  async open(): Promise<LogSession> {
    const { statementTimeoutMs, answerTimeoutMs } = this.#options;
    const client = this.#database.session({
      application_name: sessionName(),
      statement_timeout: statementTimeoutMs,
      lock_timeout: lockTimeoutMs,
      idle_in_transaction_session_timeout: statementTimeoutMs,
      query_timeout: answerTimeoutMs,
      keepAliveInitialDelayMillis: 5_000,
    });
    // Without a listener the loss of a connection would end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const backend = await fitForLock(client);
      for (const setting of quickLossDetection) {
        // Some platforms lack one or the other.
        await client.query(setting).catch((error) => {
          if (!('severity' in error)) throw error;
        });
      }
      this.#ours = [...this.#ours.slice(-maxOurs), backend];
      await this.#takeLock(client);
      return new LogSession(client, backend);
    } catch (error) {
      cut(client);
      throw error;
    }
  }

  async #takeLock(client: pg.Client): Promise<void> {
    const { waitMs, maxSilentMs, endMs } = this.#options;
    const startedMs = performance.now();
    let ending: { readonly holder: Holder; readonly sinceMs: number } | undefined;
    while (!(await tryLock(client))) {
      const holder = await holderOf(client);
      const waitedMs = performance.now() - startedMs;
      if (holder === undefined) continue;
      if (this.#ours.some((ours) => isSame(holder, ours)) || holder.silentMs > maxSilentMs) {
        if (ending === undefined || !isSame(holder, ending.holder)) {
          this.#logger.warn({ holder }, 'ending the session that held the log before');
          ending = { holder, sinceMs: waitedMs };
          await client.query('SELECT pg_terminate_backend($1)', [holder.pid]);
        } else if (waitedMs - ending.sinceMs > endMs) {
          throw new Error(`Session ${holder.pid} of the database holds the log and does not end`);
        }
      } else if (waitedMs > waitMs && holder.silentMs < waitedMs) {
        throw new LogHeld(holder);
      }
      await sleep(pollMs);
    }
  }
}

const isSame = (a: Backend, b: Backend): boolean => a.pid === b.pid && a.started === b.started;

const tryLock = async (client: pg.Client): Promise<boolean> => {
  const { rows } = await client.query<{ taken: boolean }>(
    'SELECT pg_try_advisory_lock($1, $2) AS taken',
    lockKey,
  );
  return rows[0]?.taken === true;
};

const holderOf = async (client: pg.Client): Promise<Holder | undefined> => {
  const { rows } = await client.query<Holder>(
    `SELECT a.pid, a.backend_start::text AS started, a.application_name AS name,
        coalesce(a.client_addr::text, 'this machine') AS address,
        coalesce(1000 * extract(epoch FROM clock_timestamp()
          - greatest(a.state_change, a.query_start, a.backend_start)), 0)::float AS "silentMs"
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.locktype = 'advisory' AND l.classid = $1::oid AND l.objid = $2::oid
        AND l.objsubid = 2 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    lockKey,
  );
  return rows[0];
};

/** @throws where statements may end up in other sessions, or where nothing can be written. */
const fitForLock = async (client: pg.Client): Promise<Backend> => {
  const { rows } = await client.query<Backend & { readonly readOnly: boolean }>(
    `SELECT pid, backend_start::text AS started,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS "readOnly"
      FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
  );
  const [self] = rows;
  const { processID } = client as unknown as { processID: number };
  if (self === undefined || self.pid !== processID) {
    throw new StartFailure(
      'unavailable',
      'database.url leads to a connection pooler (PgBouncer or its like), whose connections change ' +
        'their session under way. Give the address of PostgreSQL itself: this server pools its ' +
        'connections on its own.',
    );
  }
  if (self.readOnly) throw new Error('The database is read-only: a standby, or set so');
  return { pid: self.pid, started: self.started };
};
