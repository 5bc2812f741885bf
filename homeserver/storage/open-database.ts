/** From configuration to a database that is running, fit for use, and at this release's schema. */
import { constants } from 'node:fs';
import { access, chmod, mkdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Logger } from '../ops/logger.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { type ConnectionOptions, connectDatabase } from './connection.ts';
import { type DataFolderLock, dataFolderHolder, lockDataFolder } from './data-folder-lock.ts';
import type { Database } from './database.ts';
import { EmbeddedPostgres, embeddedName, type PostgresAddress } from './embedded-postgres.ts';
import { diskFull } from './free-space.ts';
import { type LogSession, LogSessions } from './log-session.ts';
import { migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { findRunningPostmaster } from './postmaster-file.ts';

export interface OpenDatabase {
  readonly database: Database;
  /** The names of the migrations applied by this call. */
  readonly migrated: readonly string[];
  /** Closes the pool, then stops the embedded database if it was started here. */
  stop(): Promise<void>;
}

/** Besides the pool: migrations, and a person or two looking in. */
const spareConnections = 10;
const oldestServer = 140_000;

const connect = (
  config: Config,
  logger: Logger,
  connection: ConnectionOptions['connection'],
): Database =>
  connectDatabase({
    connection,
    poolSize: config.database.pool_size,
    connectTimeoutMs: config.database.connect_timeout_ms,
    logger,
  });

/** Creates the data folder where there is none. Its real path, with no link in it. */
export const ensureDataFolder = async (folder: string): Promise<string> => {
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    // As root, the database runs as another user, who has to pass through this folder.
    if (made !== undefined && process.getuid?.() === 0) await chmod(folder, 0o711);
    return await realpath(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw diskFull(dirname(folder), 'the data folder could not be made', error);
    }
    throw new StartFailure(
      code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'permission' : 'disk',
      `The data folder ${folder} could not be made (${code}). Make it yourself and give it to this ` +
        'user, or set data_dir to another folder.',
      { cause: error },
    );
  }
};

const createOwnDatabase = async (address: PostgresAddress, logger: Logger): Promise<void> => {
  const maintenance = connectDatabase({
    connection: { ...address, database: 'postgres' },
    poolSize: 1,
    connectTimeoutMs: 10_000,
    logger,
  });
  try {
    const { rowCount } = await maintenance.query({
      text: `SELECT 1 FROM pg_database WHERE datname = '${embeddedName}'`,
    });
    if (rowCount === 0) await maintenance.query({ text: `CREATE DATABASE ${embeddedName}` });
  } finally {
    await maintenance.close();
  }
};

const withoutSecret = (url: string): string => url.replace(/\/\/([^:@/]*):[^@/]*@/, '//$1:***@');

/** What an external server must be. Throws a `StartFailure`; notes what could be better. */
export const checkExternalServer = async (database: Database, logger: Logger): Promise<void> => {
  const { rows } = await database.query<{
    version: number;
    shown: string;
    encoding: string;
    collation: string;
  }>({
    text:
      "SELECT current_setting('server_version_num')::int AS version, " +
      "current_setting('server_version') AS shown, " +
      'pg_encoding_to_char(encoding) AS encoding, datcollate AS collation ' +
      'FROM pg_database WHERE datname = current_database()',
  });
  const [found] = rows;
  if (found === undefined) throw new Error('the database does not list itself');
  if (found.version < oldestServer) {
    throw new StartFailure(
      'unavailable',
      `The server at database.url is PostgreSQL ${found.shown}; version 14 or later is needed.`,
    );
  }
  if (found.encoding !== 'UTF8') {
    throw new StartFailure(
      'unavailable',
      `The database at database.url has the encoding ${found.encoding}, and UTF8 is needed. Make a ` +
        "new one: CREATE DATABASE parley TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'.",
    );
  }
  if (!/^(C|POSIX|C\.UTF-?8)$/i.test(found.collation)) {
    logger.warn(
      { collation: found.collation },
      "the database's locale is not C or C.UTF-8: text is compared more slowly, and its indexes " +
        'break when the system changes its sorting rules',
    );
  }
};

const openExternal = async (config: Config, url: string, logger: Logger): Promise<Database> => {
  const database = connect(config, logger, { connectionString: url });
  try {
    await checkExternalServer(database, logger);
    return database;
  } catch (error) {
    await database.close();
    if (error instanceof StartFailure) throw error;
    const { message, code } = error as NodeJS.ErrnoException;
    throw new StartFailure(
      'unavailable',
      `The database at ${withoutSecret(url)} cannot be used: ${message || code}. Check database.url, ` +
        'that the server runs, and that user and database exist.',
      { cause: error },
    );
  }
};

const migrated = async (
  database: Database,
  logger: Logger,
  stop: () => Promise<void>,
): Promise<OpenDatabase> => {
  try {
    return { database, migrated: await migrate(database, migrations, logger), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/**
 * Refuses a database that another server writes, before anything in it is changed. The log takes the
 * fence again when it opens; what comes in between must have been through here as well.
 */
const fenced = async (
  database: Database,
  logger: Logger,
  stop: () => Promise<void>,
): Promise<OpenDatabase> => {
  let session: LogSession;
  try {
    session = await new LogSessions(database, logger).open();
  } catch (error) {
    await stop();
    if (error instanceof StartFailure) throw error;
    const text = `The database cannot be written: ${(error as Error).message}.`;
    throw new StartFailure('unavailable', text, { cause: error });
  }
  const opened = await migrated(database, logger, async () => {
    await session.close();
    await stop();
  });
  await session.close();
  return { ...opened, stop };
};

const startEmbedded = async (
  config: Config,
  folder: string,
  lock: DataFolderLock,
  logger: Logger,
  processes: number,
): Promise<OpenDatabase> => {
  let server: EmbeddedPostgres | undefined;
  let database: Database | undefined;
  const stop = async () => {
    await database?.close();
    await server?.stop();
    await lock.release();
  };
  try {
    server = await EmbeddedPostgres.start({
      dataFolder: folder,
      logger,
      maxConnections: processes * (config.database.pool_size + 1) + spareConnections,
    });
    await createOwnDatabase(server.address, logger);
  } catch (error) {
    await stop();
    throw error;
  }
  database = connect(config, logger, { ...server.address, database: embeddedName });
  return migrated(database, logger, stop);
};

/**
 * Opens the database for a server. Holds the data folder until stopped, with an external database
 * too, since media and keys live there. Throws a `StartFailure` for whatever an operator can mend.
 */
export const openDatabase = async (
  config: Config,
  logger: Logger,
  { processes = 1 }: { readonly processes?: number } = {},
): Promise<OpenDatabase> => {
  const folder = await ensureDataFolder(config.data_dir);
  const { url } = config.database;
  const lock = await lockDataFolder(folder);
  if (url === null) return startEmbedded(config, folder, lock, logger, processes);
  try {
    const database = await openExternal(config, url, logger);
    const stop = async () => {
      await database.close();
      await lock.release();
    };
    // Of several machines another one may write the log already.
    const isShared = config.cluster.port !== null;
    return await (isShared ? migrated : fenced)(database, logger, stop);
  } catch (error) {
    await lock.release();
    throw error;
  }
};

/**
 * The database that the process which started this one has opened, or, on another machine, any. What
 * holds it open is not this process.
 */
export const joinDatabase = async (config: Config, logger: Logger): Promise<OpenDatabase> => {
  const { url } = config.database;
  let database: Database;
  if (url !== null) database = await openExternal(config, url, logger);
  else {
    const folder = await ensureDataFolder(config.data_dir);
    const running = await findRunningPostmaster(join(folder, 'postgres'));
    if (running === undefined) throw new StartFailure('unavailable', 'The database does not run.');
    database = connect(config, logger, {
      host: running.socketFolder,
      port: running.port,
      user: embeddedName,
      database: embeddedName,
    });
  }
  return { database, migrated: [], stop: () => database.close() };
};

/**
 * Opens the database for a command that may run beside the server: it joins the embedded database
 * of a running server, and starts and stops it otherwise.
 */
export const openDatabaseForCommand = async (
  config: Config,
  logger: Logger,
): Promise<OpenDatabase> => {
  const { url } = config.database;
  if (url !== null) {
    const database = await openExternal(config, url, logger);
    return migrated(database, logger, () => database.close());
  }
  const folder = await ensureDataFolder(config.data_dir);
  const holder = await dataFolderHolder(folder);
  if (holder === undefined) return openDatabase(config, logger);
  const cluster = join(folder, 'postgres');
  const reachable = await access(cluster, constants.R_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!reachable) {
    throw new StartFailure(
      'permission',
      `The database of the running server belongs to another user. Run this command as the user ` +
        `the server runs as (process ${holder}), or as root.`,
    );
  }
  const running = await findRunningPostmaster(cluster);
  if (running === undefined) {
    throw new StartFailure(
      'locked',
      `The server that uses ${folder} (process ${holder}) is starting or stopping. Try again.`,
    );
  }
  const database = connect(config, logger, {
    host: running.socketFolder,
    port: running.port,
    user: embeddedName,
    database: embeddedName,
  });
  return migrated(database, logger, () => database.close());
};
