/** Brings a database to the schema of this release. */
import type { Knex } from 'knex';
import type { Logger } from '../ops/logger.ts';
import { StartFailure } from '../ops/start-failure.ts';
import type { Database } from './database.ts';
import type { Migration } from './migration.ts';

/** Any number that no other user of the same database takes: "parley" in ASCII, cut to 31 bits. */
const advisoryLock = 0x7061726c;
const table = 'schema_migrations';
/** A migration of another process that takes longer is waited for by starting again. */
const maxTurnMs = 24 * 3_600_000;

const sourceOf = (list: readonly Migration[]): Knex.MigrationSource<Migration> => ({
  getMigrations: async () => [...list],
  getMigrationName: ({ name }) => name,
  getMigration: async ({ up }) => ({
    up,
    down: async () => {
      throw new Error('migrations only go forward');
    },
  }),
});

const settings = (list: readonly Migration[]): Knex.MigratorConfig => ({
  migrationSource: sourceOf(list),
  tableName: table,
});

/** The names applied so far, in order. Empty for a new database. */
export const appliedMigrations = async (database: Database): Promise<string[]> => {
  const { rows } = await database.query<{ present: boolean }>({
    text: `SELECT to_regclass('${table}') IS NOT NULL AS present`,
  });
  if (rows[0]?.present !== true) return [];
  const names = await database.query<{ name: string }>({
    text: `SELECT name FROM ${table} ORDER BY id`,
  });
  return names.rows.map(({ name }) => name);
};

/**
 * Applies what is missing and answers the names applied now, in order. Processes that start at the
 * same time on one database take turns. Throws a `StartFailure` when the database is ahead of us.
 */
export const migrate = async (
  database: Database,
  list: readonly Migration[],
  logger: Logger,
): Promise<string[]> => {
  const known = new Set(list.map(({ name }) => name));
  const turn = await database.pool.connect();
  try {
    // Others may take long over theirs.
    await turn.query('SET statement_timeout = 0');
    const lock = { text: 'SELECT pg_advisory_lock($1)', query_timeout: maxTurnMs };
    await turn.query(lock, [advisoryLock]);
    const applied = await appliedMigrations(database);
    const unknown = applied.filter((name) => !known.has(name));
    if (unknown.length > 0) {
      throw new StartFailure(
        'unavailable',
        `The database was written by a newer release: it knows ${unknown.join(', ')}, which this ` +
          'one does not. Start the newer release again, or restore a backup made before it ran.',
      );
    }
    if (applied.length === list.length) return [];
    // We hold the turn, so a lock row still set was left by a process that died while migrating.
    if (applied.length > 0) await database.knex.migrate.forceFreeMigrationsLock(settings(list));
    const [, names] = (await database.knex.migrate.latest(settings(list))) as [number, string[]];
    logger.info({ migrations: names }, 'the database schema is up to date');
    return names;
  } finally {
    // Closing the session gives the lock back even where an unlock statement would not arrive.
    turn.release(true);
  }
};
