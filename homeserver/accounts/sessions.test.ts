import type { DeviceId, ServerName, UserId } from '../../spec/identifiers.ts';
import { silentLogger } from '../ops/logger.ts';
import { Database } from '../storage/database.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { eventually } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { type Accounts, createAccounts } from './accounts.ts';

const ALICE = '@alice:parley.test' as UserId;

/** Counts what reaches the pool. */
class CountingDatabase extends Database {
  queries = 0;

  override query(...statement: Parameters<Database['query']>): never {
    this.queries++;
    return super.query(...statement) as never;
  }
}

describe('Sessions', () => {
  let test: TestDatabase;
  let database: CountingDatabase;
  const clock = new FakeClock();
  const build = (): Accounts =>
    createAccounts({
      database,
      clock,
      random: seededRandom(`sessions ${database.queries}`),
      logger: silentLogger,
      serverName: 'parley.test' as ServerName,
      registration: {
        enabled: true,
        requireToken: false,
        allowGuests: false,
        sharedSecret: undefined,
      },
      passwords: { minLength: 1, hashMemoryKib: 64, hashPasses: 1 },
    });
  let accounts: Accounts;
  const open = (deviceId?: string) =>
    database.transaction((tx) => accounts.sessions.open(tx, { userId: ALICE, deviceId }));

  beforeAll(async () => {
    test = await testDatabase();
    database = new CountingDatabase(test.database.pool, test.database.knex, {
      statements: { sent: 0 },
      session: (settings) => test.database.session(settings),
    });
    accounts = build();
    await accounts.registration.registerByOperator({ username: 'alice', password: 'x' }, undefined);
  });
  afterAll(() => test.close());

  it('that another process closes are closed here as well, at once', async () => {
    const other = build();
    await other.start();
    try {
      const closed = await open();
      const reopened = await open('PHONE');
      const kept = await open();
      for (const { accessToken } of [closed, reopened, kept]) {
        expect(await other.sessions.recognise(accessToken)).toBeDefined();
      }
      await database.transaction((tx) => accounts.sessions.close(tx, ALICE, [closed.deviceId]));
      await open('PHONE');
      const told = async ({ accessToken }: { accessToken: string }) =>
        (await other.sessions.recognise(accessToken)) === undefined;
      await eventually('the token is known no more', () => told(closed));
      await eventually('the one before is known no more', () => told(reopened));
      expect(await told(kept)).toBe(false);
    } finally {
      await other.stop();
    }
  });

  it('know a token from memory, and ask again after a minute', async () => {
    const { accessToken, deviceId } = await open();
    expect(await accounts.sessions.recognise(accessToken)).toMatchObject({ deviceId });
    const before = database.queries;
    for (let i = 0; i < 10; i++) await accounts.sessions.recognise(accessToken);
    expect(database.queries).toBe(before);
    clock.advance(60_000);
    await accounts.sessions.recognise(accessToken);
    expect(database.queries).toBe(before + 1);
  });

  it('forget a token at once where it is revoked, and within a minute elsewhere', async () => {
    const { accessToken, deviceId } = await open();
    const elsewhere = build();
    const told = build();
    for (const each of [accounts, elsewhere, told]) {
      expect(await each.sessions.recognise(accessToken)).toBeDefined();
    }
    accounts.tokenCache.onChange((change) => told.tokenCache.forget(change));
    await database.transaction((tx) => accounts.sessions.close(tx, ALICE, [deviceId]));
    expect(await accounts.sessions.recognise(accessToken)).toBeUndefined();
    expect(await told.sessions.recognise(accessToken)).toBeUndefined();
    expect(await elsewhere.sessions.recognise(accessToken)).toBeDefined();
    clock.advance(60_000);
    expect(await elsewhere.sessions.recognise(accessToken)).toBeUndefined();
  });

  it('do not remember what was revoked while it was being read', async () => {
    const { accessToken, deviceId } = await open();
    const token = await accounts.sessions.recognise(accessToken);
    accounts.tokenCache.drop('a-hash');
    const { generation } = accounts.tokenCache;
    accounts.tokenCache.changed({ userId: ALICE, deviceIds: [deviceId] });
    accounts.tokenCache.set('a-hash', token as never, generation);
    expect(accounts.tokenCache.get('a-hash')).toBeUndefined();
  });

  it('read again what was forgotten', async () => {
    const tokens = await Promise.all(
      Array.from({ length: 5 }, (_, i) => open(`D${i}` as DeviceId)),
    );
    for (const { accessToken, deviceId } of tokens) {
      expect(await accounts.sessions.recognise(accessToken)).toMatchObject({ deviceId });
    }
    accounts.sessions.accountChanged(ALICE);
    for (const { accessToken, deviceId } of tokens) {
      expect(await accounts.sessions.recognise(accessToken)).toMatchObject({ deviceId });
    }
  });

  it('are of so many devices: beyond that the one unseen for the longest goes', async () => {
    const { sessions, devices, registration } = accounts;
    await registration.registerByOperator({ username: 'many', password: 'x' }, undefined);
    const userId = '@many:parley.test' as UserId;
    const made = [];
    for (let n = 0; n < 200; n++) {
      clock.advance(1);
      made.push(await database.transaction((tx) => sessions.open(tx, { userId })));
    }
    const [first, second] = made as [(typeof made)[0], (typeof made)[0]];
    await database.query({
      text: 'UPDATE devices SET last_seen_ms = $3 WHERE user_id = $1 AND device_id = $2',
      values: [userId, first.deviceId, clock.nowMs()],
    });
    expect(await sessions.recognise(second.accessToken)).toBeDefined();
    const newest = await database.transaction((tx) => sessions.open(tx, { userId }));
    expect(await devices.list(userId)).toHaveLength(200);
    expect(await sessions.recognise(second.accessToken)).toBeUndefined();
    expect(await sessions.recognise(first.accessToken)).toBeDefined();
    expect(await sessions.recognise(newest.accessToken)).toBeDefined();
    expect(await devices.create(userId, 'EXTRA' as DeviceId, undefined)).toBe(true);
    expect(await devices.list(userId)).toHaveLength(200);
  });

  it('take any number of first uses of refreshed tokens at once', async () => {
    const { sessions } = accounts;
    const first = await database.transaction((tx) =>
      sessions.open(tx, { userId: ALICE, refreshable: true }),
    );
    for (let round = 0; round < 5; round++) {
      const fresh = await sessions.refresh(first.refreshToken as string);
      const uses = await Promise.all([
        ...Array.from({ length: 5 }, () => build().sessions.recognise(fresh.accessToken)),
        sessions.refresh(fresh.refreshToken as string),
      ]);
      expect(uses.filter((use) => use === undefined)).toEqual([]);
      const last = uses.at(-1) as { accessToken: string; refreshToken: string };
      expect(await sessions.recognise(last.accessToken)).toBeDefined();
      Object.assign(first, last);
    }
  });

  it('undo a new session whose transaction fails', async () => {
    let accessToken = '';
    const failing = database.transaction(async (tx) => {
      accessToken = (await accounts.sessions.open(tx, { userId: ALICE })).accessToken;
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await accounts.sessions.recognise(accessToken)).toBeUndefined();
  });
});
