/**
 * A database of its own for each test file, with the schema of this release. The first to ask
 * migrates a template; every database is a copy of it, which takes some tens of milliseconds.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { silentLogger } from '../ops/logger.ts';
import { connectDatabase } from '../storage/connection.ts';
import type { Database } from '../storage/database.ts';
import type { PostgresAddress } from '../storage/embedded-postgres.ts';
import { migrate } from '../storage/migrate.ts';
import type { Migration } from '../storage/migration.ts';
import { migrations } from '../storage/migrations/index.ts';
import { testServerVariable } from './test-server.ts';

export interface TestDatabase {
  readonly database: Database;
  /** For programs that are given a `database.url`. */
  readonly url: string;
  /** Closes the pool and drops the database. */
  close(): Promise<void>;
}

const templateName = 'parley_template';
const templateLock = 1;

const serverAddress = (): PostgresAddress => {
  const text = process.env[testServerVariable];
  if (text === undefined) throw new Error('run tests through jest, whose set-up starts PostgreSQL');
  return JSON.parse(text) as PostgresAddress;
};

const asAdministrator = async <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ ...serverAddress(), database: 'postgres' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};

const connect = (name: string): Database =>
  connectDatabase({
    connection: { ...serverAddress(), database: name },
    poolSize: 10,
    connectTimeoutMs: 10_000,
    logger: silentLogger,
  });

const urlOf = (name: string): string => {
  const { host, port, user } = serverAddress();
  return `postgres://${user}@/${name}?host=${encodeURIComponent(host)}&port=${port}`;
};

const makeTemplate = async (client: pg.Client): Promise<void> => {
  await client.query('SELECT pg_advisory_lock($1)', [templateLock]);
  const { rows } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [
    templateName,
  ]);
  if (rows.length === 0) {
    const partial = `${templateName}_new`;
    await client.query(`DROP DATABASE IF EXISTS ${partial} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${partial}`);
    const database = connect(partial);
    try {
      await migrate(database, migrations, silentLogger);
    } finally {
      await database.close();
    }
    await client.query(`ALTER DATABASE ${partial} RENAME TO ${templateName}`);
  }
  await client.query('SELECT pg_advisory_unlock($1)', [templateLock]);
};

const create = async (
  prepare: (client: pg.Client, name: string) => Promise<void>,
): Promise<TestDatabase> => {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdministrator((client) => prepare(client, name));
  const database = connect(name);
  return {
    database,
    url: urlOf(name),
    async close() {
      await database.close();
      await asAdministrator((client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
};

/** A new database with every migration applied. Close it in `afterAll`. */
export const testDatabase = (): Promise<TestDatabase> =>
  create(async (client, name) => {
    await makeTemplate(client);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${templateName}`);
  });

/** A new database with only these migrations, for tests of migrating itself. */
export const emptyTestDatabase = async (list: readonly Migration[] = []): Promise<TestDatabase> => {
  const result = await create(async (client, name) => {
    await client.query(`CREATE DATABASE ${name}`);
  });
  await migrate(result.database, list, silentLogger);
  return result;
};
