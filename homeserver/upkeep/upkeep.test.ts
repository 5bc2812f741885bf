import { silentLogger } from '../ops/logger.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { upkeepTasks } from './create-upkeep.ts';
import { Upkeep } from './upkeep.ts';
import { MINUTE_MS, type UpkeepTask, walking } from './upkeep-task.ts';

const thing = (over: Partial<UpkeepTask> = {}): UpkeepTask => ({
  ...walking(
    { name: 'things', everyMs: 10 * MINUTE_MS, maxRows: 50, olderThanMs: 100 },
    {
      table: 'things',
      key: [
        ['owner', 'text'],
        ['thing_no', 'bigint'],
      ],
      gone: 't.made_at_ms < :beforeMs',
    },
  ),
  ...over,
});

describe('upkeep', () => {
  const clock = new FakeClock(1_000);
  let test: TestDatabase;
  const upkeepOf = (tasks: readonly UpkeepTask[], observed: [string, number][] = []) =>
    new Upkeep({
      database: test.database,
      clock,
      logger: silentLogger,
      tasks,
      observe: (name, deleted) => observed.push([name, deleted]),
    });
  const kept = async () => {
    const { rows } = await test.database.query<{ n: number }>({
      text: 'SELECT count(*) AS n FROM things',
    });
    return rows[0]?.n;
  };

  beforeAll(async () => {
    test = await testDatabase();
    await test.database.query({
      text: `CREATE TABLE things (owner text, thing_no bigint, made_at_ms bigint NOT NULL,
        PRIMARY KEY (owner, thing_no))`,
    });
  });
  beforeEach(async () => {
    await test.database.query({ text: 'TRUNCATE things' });
    await test.database.query({
      text: `INSERT INTO things SELECT 'o' || n % 3, n, n FROM generate_series(800, 999) n`,
    });
  });
  afterAll(() => test.close());

  it('deletes what is old, a bounded number of rows at a time, and counts it', async () => {
    const observed: [string, number][] = [];
    const reports = await upkeepOf([thing()], observed).runDue();
    expect(await kept()).toBe(100);
    expect(reports.length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...reports.map(({ deleted }) => deleted))).toBeLessThanOrEqual(50);
    expect(observed.reduce((sum, [, deleted]) => sum + deleted, 0)).toBe(100);
  });

  it('comes back when a task is due again', async () => {
    const upkeep = upkeepOf([thing()]);
    await upkeep.runDue();
    expect(await upkeep.step()).toBeUndefined();
    clock.advance(10 * MINUTE_MS);
    await upkeep.runDue();
    expect(await kept()).toBe(0);
  });

  it('takes turns between tasks, and goes on with the others when one fails', async () => {
    const broken = thing({ name: 'broken', step: () => Promise.reject(new Error('broken')) });
    const [a, b] = [thing({ name: 'a' }), thing({ name: 'b' })];
    const names = (await upkeepOf([a, broken, b]).runDue()).map(({ task }) => task);
    expect(names.slice(0, 4)).toEqual(['a', 'broken', 'b', 'a']);
    expect(names.filter((name) => name === 'broken')).toHaveLength(1);
  });

  it('leaves it to another process that is at it', async () => {
    const upkeep = upkeepOf([
      thing({ step: async () => ({ deleted: 0, next: undefined }), name: 'first' }),
    ]);
    await test.database.transaction(async (tx) => {
      await tx.query({
        text: `SELECT pg_advisory_xact_lock(hashtextextended('upkeep', 20))`,
      });
      expect(await upkeep.step()).toBeUndefined();
    });
    expect(await upkeep.step()).toMatchObject({ task: 'first' });
  });

  it('makes its steps smaller while they take long', async () => {
    const limits: number[] = [];
    const slow = thing({
      name: 'slow',
      async step(tx, { limit }) {
        limits.push(limit);
        await tx.query({ text: 'SELECT pg_sleep(0.03)' });
        return { deleted: 0, next: limits.length < 3 ? [] : undefined };
      },
    });
    await upkeepOf([slow]).runDue();
    expect(limits).toEqual([50, 25, 12]);
  });

  it('works by itself once started, and ends when stopped', async () => {
    const upkeep = upkeepOf([thing()]);
    upkeep.start();
    await upkeep.stop();
    expect(await kept()).toBe(200);
  });

  it('has a name for each task', () => {
    const names = upkeepTasks().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
