import { createConnection, createServer } from 'node:net';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { addressTowardsDatabase, clusterSecret, readLeader, writeLeader } from './cluster.ts';
import { connectDatabase } from './connection.ts';

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

  it('finds the address from which the database is reached', async () => {
    expect(await addressTowardsDatabase(test.database)).toBeUndefined();
    const { host, port, user, database } = test.database.pool.options;
    // As a network would, this brings the bytes to the server's Unix socket.
    const proxy = createServer((client) => {
      client.on('error', () => undefined);
      client.pipe(createConnection(`${host}/.s.PGSQL.${port}`)).pipe(client);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const far = connectDatabase({
      connection: {
        user: String(user),
        database: String(database),
        host: '127.0.0.1',
        port: (proxy.address() as { port: number }).port,
      },
      poolSize: 1,
      connectTimeoutMs: 5_000,
      logger: silentLogger,
    });
    expect(await addressTowardsDatabase(far)).toBe('127.0.0.1');
    await far.close();
    proxy.close();
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
