/** Devices that have not been seen for long are logged out, and everyone hears of it who does of a logout. */
import type { DeviceId } from '../../spec/identifiers.ts';
import { createAccounts } from '../accounts/accounts.ts';
import { silentLogger } from '../ops/logger.ts';
import { localUser, type TestCore, testCore, testServerName } from '../testing/test-core.ts';
import { createUpkeep } from './create-upkeep.ts';
import { DAY_MS } from './upkeep-task.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];
const bridged = localUser('bridged');
const keptMs = 365 * DAY_MS;

describe('devices that were not seen for a year', () => {
  let test: TestCore;
  let token = '';
  let mostAtOnce = 0;
  const devices = async () => {
    const { rows } = await test.core.database.query<{ device_id: string }>({
      text: 'SELECT device_id FROM devices ORDER BY device_id',
    });
    return rows.map(({ device_id: deviceId }) => deviceId);
  };
  const countOf = async (table: string, device: string) => {
    const { rows } = await test.core.database.query<{ n: number }>({
      text: `SELECT count(*) AS n FROM ${table} WHERE device_id = $1`,
      values: [device],
    });
    return rows[0]?.n;
  };
  let accounts: ReturnType<typeof createAccounts>;
  let changedBefore = 0;

  beforeAll(async () => {
    test = await testCore();
    const { core, clock } = test;
    const { database, random } = core;
    accounts = createAccounts({
      database,
      clock,
      random,
      logger: silentLogger,
      serverName: testServerName,
      registration: {
        enabled: true,
        requireToken: false,
        allowGuests: false,
        sharedSecret: undefined,
      },
      passwords: { minLength: 1, hashMemoryKib: 64, hashPasses: 1 },
      deviceListeners: [core.encryption.deviceListener],
    });
    for (const username of ['alice', 'bob', 'bridged']) {
      await accounts.registration.registerByOperator({ username, password: 'x' }, undefined);
    }
    await database.query({ text: 'DELETE FROM devices' });
    await database.query({
      text: `UPDATE users SET appservice_id = 'irc' WHERE user_id = '${bridged}'`,
    });
    const open = (userId: typeof alice, deviceId: string) =>
      database.transaction((tx) => accounts.sessions.open(tx, { userId, deviceId }));
    for (let n = 0; n < 12; n += 1) await open(bob, `OLD${n}`);
    token = (await open(alice, 'GONE')).accessToken;
    await open(alice, 'IDLE');
    await open(bridged, 'BRIDGE');
    await core.encryption.toDevice.send(bob, 'OLD0' as DeviceId, 'm.x', 't', {
      [alice]: { GONE: { n: 1 } },
    });
    expect(await accounts.sessions.recognise(token)).toBeDefined();
    clock.advance(200 * DAY_MS);
    await database.query({
      text: `UPDATE devices SET last_seen_ms = ${clock.nowMs()} WHERE device_id = 'IDLE'`,
    });
    await open(bob, 'NEW');
    clock.advance(180 * DAY_MS);
    changedBefore = core.log.position;
    const endOfDevices = { sessions: accounts.sessions, keptMs };
    const upkeep = createUpkeep({ ...core, logger: silentLogger }, { endOfDevices });
    const reports = await upkeep.runDue();
    mostAtOnce = Math.max(
      ...reports.filter(({ task }) => task === 'unseen devices').map(({ deleted }) => deleted),
    );
  });
  afterAll(() => test.close());

  it('go, and others stay', async () => {
    expect(await devices()).toEqual(['BRIDGE', 'IDLE', 'NEW']);
  });

  it('go a few at a time', () => {
    expect(mostAtOnce).toBe(5);
  });

  it('take their tokens and messages with them', async () => {
    expect(await accounts.sessions.recognise(token)).toBeUndefined();
    for (const table of ['access_tokens', 'to_device_messages', 'device_keys']) {
      expect([table, await countOf(table, 'GONE')]).toEqual([table, 0]);
    }
  });

  it('are told of like any other logout', async () => {
    const { rows } = await test.core.database.query<{ user_id: string }>({
      text: `SELECT user_id FROM device_list_users WHERE stream_pos > ${changedBefore}
        ORDER BY user_id`,
    });
    expect(rows.map(({ user_id: userId }) => userId)).toEqual([alice, bob]);
  });

  it('stay where nobody has set a time', async () => {
    test.clock.advance(9_000 * DAY_MS);
    await createUpkeep({ ...test.core, logger: silentLogger }).runDue();
    expect(await devices()).toEqual(['BRIDGE', 'IDLE', 'NEW']);
  });
});
