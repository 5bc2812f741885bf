/** Builds the connection pool so that a lost database costs the statements in flight, never the process. */
import knex from 'knex';
import pg from 'pg';
import type { Logger } from '../ops/logger.ts';
import { Database, type StatementCount } from './database.ts';

export interface ConnectionOptions {
  /** How to reach the database: `connectionString`, or `host` (a folder for a socket) and so on. */
  readonly connection: Pick<
    pg.ClientConfig,
    'connectionString' | 'host' | 'port' | 'user' | 'password' | 'database' | 'ssl'
  >;
  readonly poolSize: number;
  /** How long a statement may wait for a free connection. */
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
}

/** Nothing connects until the first statement. */
export const connectDatabase = (options: ConnectionOptions): Database => {
  const { logger } = options;
  const config: pg.PoolConfig = {
    ...options.connection,
    application_name: 'parley',
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  };
  const statements = { sent: 0 };
  const pool = new pg.Pool({ ...config, Client: countingClient(statements) });
  const lost = (error: Error) => {
    // Sessions still open when the embedded database stops are cut, as they should be.
    if (!pool.ending) logger.warn({ reason: error.message }, 'lost a database connection');
  };
  // The pool listens to a client only while it is idle, and an unheard 'error' ends the process.
  pool.on('connect', (client) => void client.on('error', lost));
  pool.on('error', () => undefined);
  const builder = knex({
    client: 'pg',
    connection: { ...config } as never,
    pool: { min: 0, max: 2 },
    acquireConnectionTimeout: options.connectTimeoutMs,
    log: {
      warn: (message: string) => logger.warn(message),
      error: (message: string) => logger.error(message),
      deprecate: (message: string) => logger.warn(message),
      debug: (message: string) => logger.debug(message),
    },
  });
  return new Database(pool, builder, statements);
};

/** Sessions that count the statements they send; transactions' `BEGIN` and `COMMIT` are among them. */
const countingClient = (statements: StatementCount): typeof pg.Client =>
  class extends pg.Client {
    // The overloads of `query` all come down to one implementation.
    override query(...args: unknown[]): never {
      statements.sent += 1;
      return (super.query as (...all: unknown[]) => never)(...args);
    }
  } as typeof pg.Client;

/** Codes of failures to reach the server, and of sessions the server itself cut. */
const unreachable = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT']);

/** What pg says, without a code, when a connection ends under it or none comes. */
const lostMessage =
  /^(Connection terminated|timeout exceeded when trying|Client has encountered a connection error)/;

const codeOf = (error: unknown): string =>
  String((error as { code?: unknown } | undefined)?.code ?? '');

/**
 * Whether a failed statement may succeed unchanged once the database is back: it is away, starting,
 * stopping, or cut us off. A transaction that failed so may or may not have been committed.
 */
export const isDatabaseAway = (error: unknown): boolean => {
  const code = codeOf(error);
  // Classes 08 (connection) and 57P (operator intervention).
  if (code !== '') return unreachable.has(code) || /^(08|57P)/.test(code);
  return lostMessage.test((error as { message?: string } | undefined)?.message ?? '');
};

/** Whether a statement failed because the database's disk is full. */
export const isDatabaseFull = (error: unknown): boolean => codeOf(error) === '53100';
