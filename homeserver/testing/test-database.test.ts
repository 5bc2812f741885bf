import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

describe('testDatabase', () => {
  const opened: TestDatabase[] = [];
  const open = async () => {
    const database = await testDatabase();
    opened.push(database);
    return database;
  };
  afterAll(() => Promise.all(opened.map((database) => database.close())));

  it('gives databases that do not see each other', async () => {
    const [a, b] = await Promise.all([open(), open()]);
    await a.database.query({ text: 'CREATE TABLE only_here (x int)' });
    await expect(b.database.query({ text: 'SELECT * FROM only_here' })).rejects.toMatchObject({
      code: '42P01',
    });
  });

  it('orders text by code point and knows letters beyond ASCII', async () => {
    const { database } = await open();
    const { rows } = await database.query<{ t: string }>({
      text: `SELECT t FROM (VALUES ('é'), ('z'), ('Z'), ('_')) AS v (t) ORDER BY t`,
    });
    expect(rows.map(({ t }) => t)).toEqual(['Z', '_', 'z', 'é']);
    const lower = await database.query<{ l: string }>({ text: `SELECT lower('É') AS l` });
    expect(lower.rows[0]?.l).toBe('é');
  });

  it('rolls back a transaction whose work throws', async () => {
    const { database } = await open();
    await database.query({ text: 'CREATE TABLE kept (x int)' });
    const work = database.transaction(async (tx) => {
      await tx.query({ text: 'INSERT INTO kept VALUES (1)' });
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect((await database.query({ text: 'SELECT * FROM kept' })).rowCount).toBe(0);
  });
});

describe('seededRandom', () => {
  it('repeats itself for the same seed, however the bytes are asked for', () => {
    const whole = seededRandom('a').bytes(100);
    const random = seededRandom('a');
    expect(Buffer.concat([random.bytes(1), random.bytes(64), random.bytes(35)])).toEqual(whole);
    expect(seededRandom('b').bytes(100)).not.toEqual(whole);
  });
});

describe('FakeClock', () => {
  it('moves only when told to', () => {
    const clock = new FakeClock(5);
    clock.advance(10);
    expect(clock.nowMs()).toBe(15);
  });
});
