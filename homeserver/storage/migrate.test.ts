import { silentLogger } from '../ops/logger.ts';
import { emptyTestDatabase, type TestDatabase } from '../testing/test-database.ts';
import { appliedMigrations, migrate } from './migrate.ts';
import type { Migration } from './migration.ts';
import { migrations } from './migrations/index.ts';

const creates = (name: string, table: string): Migration => ({
  name,
  up: async (knex) => {
    await knex.raw(`CREATE TABLE ${table} (x int)`);
  },
});

const first = creates('0001-first', 'a');
const second = creates('0002-second', 'b');

describe('migrate', () => {
  let test: TestDatabase;
  const run = (list: readonly Migration[]) => migrate(test.database, list, silentLogger);
  beforeEach(async () => {
    test = await emptyTestDatabase();
  });
  afterEach(() => test.close());

  it('applies what is missing, once, in order', async () => {
    expect(await appliedMigrations(test.database)).toEqual([]);
    expect(await run([first])).toEqual(['0001-first']);
    expect(await run([first, second])).toEqual(['0002-second']);
    expect(await run([first, second])).toEqual([]);
    expect(await appliedMigrations(test.database)).toEqual(['0001-first', '0002-second']);
  });

  it('lets processes that start together take turns', async () => {
    const results = await Promise.all([run([first, second]), run([first, second])]);
    expect(results.flat().sort()).toEqual(['0001-first', '0002-second']);
  });

  it('leaves nothing of a step that fails, and goes on from there', async () => {
    const broken: Migration = {
      name: second.name,
      up: async (knex) => {
        await second.up(knex);
        throw new Error('half way');
      },
    };
    await expect(run([first, broken])).rejects.toThrow('half way');
    await run([first]);
    expect(await run([first, second])).toEqual(['0002-second']);
  });

  it('goes on after a process that died while it migrated', async () => {
    await run([first]);
    await test.database.query({ text: 'UPDATE schema_migrations_lock SET is_locked = 1' });
    expect(await run([first, second])).toEqual(['0002-second']);
  });

  it('refuses a database of a newer release', async () => {
    await run([first, second]);
    await expect(run([first])).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining('0002-second'),
    });
  });
});

describe('the migrations of this release', () => {
  it('are listed in the order of their numbers, each number once', () => {
    const numbers = migrations.map(({ name }) => Number(/^(\d{4})-[a-z0-9-]+$/.exec(name)?.[1]));
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers).not.toContain(Number.NaN);
  });
});
