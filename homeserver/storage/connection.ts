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

/**
 * So that neither a stuck statement nor a frozen network keeps a connection of the pool for ever.
 * Migrations, which may take longer, have connections of their own.
 */
const timeouts = {
  statement_timeout: 60_000,
  idle_in_transaction_session_timeout: 60_000,
  query_timeout: 70_000,
};

/** Settings that only the database knows by name. */
const settings = [
  // Rows are read by their key. What the planner thinks of a room, before the first statistics or from
  // those of all rooms, is far below what a large one has, and it would rather sort the whole room than
  // read the end of an index, because pages in order were cheaper than others.
  'random_page_cost=1',
];

/**
 * The pool ends what is idle after 30 s. A session idle for longer belongs to a server that is gone
 * without a word, and takes one of the connections the database has.
 */
const poolSettings = [...settings, 'idle_session_timeout=90000'];

const optionsFrom = (list: readonly string[]): string =>
  list.map((setting) => `-c ${setting}`).join(' ');

/** Nothing connects until the first statement. */
export const connectDatabase = (options: ConnectionOptions): Database => {
  const { logger } = options;
  const config: pg.PoolConfig = {
    ...options.connection,
    application_name: 'parley',
    options: optionsFrom(settings),
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  };
  const statements = { sent: 0 };
  const Client = countingClient(statements);
  const pool = new pg.Pool({ ...config, ...timeouts, options: optionsFrom(poolSettings), Client });
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
  const session = (settings: pg.ClientConfig) => new Client({ ...config, ...settings });
  return new Database(pool, builder, { statements, session });
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

export { isDatabaseAway, isDatabaseFull } from './database-away.ts';
