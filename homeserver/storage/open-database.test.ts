import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { createLogger, silentLogger } from '../ops/logger.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { appliedMigrations } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { checkExternalServer, openDatabase } from './open-database.ts';

describe('openDatabase with database.url', () => {
  let test: TestDatabase;
  let folder: string;
  beforeAll(async () => {
    test = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'parley-open-'));
  });
  afterAll(async () => {
    await test.close();
    await rm(folder, { recursive: true });
  });

  const config = (url: string) =>
    loadConfig({ env: { PARLEY_DATABASE_URL: url, PARLEY_DATA_DIR: folder } });

  /** Another database of the same server, made with `options`. */
  const withSibling = async (options: string, use: (url: string) => Promise<void>) => {
    const name = `sibling_${Date.now().toString(36)}`;
    await test.database.query({ text: `CREATE DATABASE ${name} TEMPLATE template0 ${options}` });
    try {
      await use(test.url.replace(/\/test_[0-9a-f]+/, `/${name}`));
    } finally {
      await test.database.query({ text: `DROP DATABASE ${name} WITH (FORCE)` });
    }
  };

  it('migrates it, and holds the data folder meanwhile', async () => {
    await withSibling('', async (url) => {
      const opened = await openDatabase(config(url), silentLogger);
      expect(opened.migrated).toEqual(migrations.map(({ name }) => name));
      expect(await appliedMigrations(opened.database)).toEqual(opened.migrated);
      await expect(openDatabase(config(url), silentLogger)).rejects.toMatchObject({ exitCode: 75 });
      await opened.stop();
      await (await openDatabase(config(url), silentLogger)).stop();
    });
  });

  it('refuses another encoding than UTF8, and lets go of the data folder', async () => {
    await withSibling("ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'", async (url) => {
      await expect(openDatabase(config(url), silentLogger)).rejects.toMatchObject({
        exitCode: 69,
        message: expect.stringContaining('has the encoding LATIN1, and UTF8 is needed'),
      });
    });
    await (await openDatabase(config(test.url), silentLogger)).stop();
  });

  it('has nothing to say about a database with locale C', async () => {
    const lines: string[] = [];
    const logger = createLogger(
      { level: 'warn', format: 'json' },
      { write: (line) => void lines.push(line) },
    );
    await checkExternalServer(test.database, logger);
    expect(lines).toEqual([]);
  });
});
