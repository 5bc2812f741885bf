import { systemRandom } from '../random.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { clusterSecret, readLeader, writeLeader } from './cluster.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
});
afterAll(() => test.close());

describe('where processes meet', () => {
  it('knows one leader, the newest', async () => {
    const { database } = test;
    expect(await readLeader(database)).toBeUndefined();
    const first = { term: 1, id: 'a', addresses: [{ path: '/run/a.sock' }] };
    await writeLeader(database, first);
    expect(await readLeader(database)).toEqual(first);
    const second = { term: 2, id: 'b', addresses: [{ host: '10.0.0.2', port: 8449 }] };
    await writeLeader(database, second);
    expect(await readLeader(database)).toEqual(second);
  });

  it('has one secret for all that start at once', async () => {
    const { database } = test;
    const secrets = await Promise.all(
      [1, 2, 3, 4].map(() => clusterSecret(database, systemRandom)),
    );
    expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(1);
    expect(secrets[0]).toHaveLength(32);
  });
});
