import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type Accounts, createAccounts } from '../accounts/accounts.ts';
import type { SessionTokens } from '../accounts/sessions.ts';
import { recordDeviceChanges } from '../encryption/device-changes.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { unloggedChanges } from '../storage/device-lists.ts';
import { insertReport } from '../storage/reports.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { runParley } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';

const ALICE = '@alice:localhost' as UserId;

let test: TestDatabase;
let folder: string;
/** Those of a server that runs beside the commands, with a clock that stands still. */
let accounts: Accounts;
/** How often that server was told that there may be something to do. */
let told = 0;
const departed: UserId[] = [];
let session: SessionTokens;

beforeAll(async () => {
  test = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'parley-users-'));
  await chmod(folder, 0o711);
  accounts = createAccounts({
    database: test.database,
    clock: new FakeClock(),
    random: systemRandom,
    logger: silentLogger,
    serverName: 'localhost' as ServerName,
    registration: {
      enabled: true,
      requireToken: false,
      allowGuests: false,
      sharedSecret: undefined,
    },
    passwords: { minLength: 1, hashMemoryKib: 64, hashPasses: 1 },
    deviceListeners: [
      {
        ...recordDeviceChanges,
        changedElsewhere: () => {
          told += 1;
        },
      },
    ],
  });
  accounts.changes.onDeparture({ depart: async (userId) => void departed.push(userId) });
  await accounts.start();
  for (const username of ['admin', 'alice']) {
    await accounts.registration.registerByOperator({ username, password: 'x' }, undefined);
  }
});
afterAll(async () => {
  await accounts.stop();
  await test.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  session = await test.database.transaction((tx) => accounts.sessions.open(tx, { userId: ALICE }));
});

const parley = (...args: string[]) => runParley(args, folder, { PARLEY_DATABASE_URL: test.url });

/** Alice's session as the server sees it: from memory, unless it was told otherwise. */
const seen = () => accounts.sessions.recognise(session.accessToken);

const heard = async (is: () => Promise<boolean> | boolean): Promise<void> => {
  const deadlineMs = Date.now() + 10_000;
  while (!(await is())) {
    if (Date.now() > deadlineMs) throw new Error('the running server was not told');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe('commands on accounts, beside a running server', () => {
  it.each([
    ['lock-user', 'locked', 'is locked'],
    ['suspend-user', 'suspended', 'is suspended'],
    ['make-admin', 'isAdmin', 'is an administrator'],
  ] as const)('%s counts at once, and is taken back', async (command, flag, said) => {
    expect(await seen()).toMatchObject({ [flag]: false });
    expect((await parley(command, 'alice')).stdout).toBe(`${ALICE} ${said}\n`);
    await heard(async () => (await seen())?.[flag] === true);
    expect((await parley(command, ALICE, '--undo')).code).toBe(0);
    await heard(async () => (await seen())?.[flag] === false);
  });

  it('log-out ends one session or all, and leaves the server to tell of the devices', async () => {
    expect(await seen()).toBeDefined();
    const other = await test.database.transaction((tx) =>
      accounts.sessions.open(tx, { userId: ALICE }),
    );
    const before = told;
    expect((await parley('log-out', 'alice', '--device', session.deviceId)).code).toBe(0);
    await heard(async () => (await seen()) === undefined);
    expect(await accounts.sessions.recognise(other.accessToken)).toBeDefined();
    const waiting = await unloggedChanges(test.database, 1_000);
    expect(waiting.map(({ deviceId }) => deviceId)).toContain(session.deviceId);
    expect(told).toBeGreaterThan(before);
    expect((await parley('log-out', 'alice')).code).toBe(0);
    await heard(async () => (await accounts.sessions.recognise(other.accessToken)) === undefined);
    expect((await parley('log-out', 'alice', '--device', 'NOPE')).code).not.toBe(0);
  });

  it('reset-password ends the sessions there are at once, unless told to leave them', async () => {
    const reset = ['reset-password', 'alice', '--password', 'battery staple'];
    expect(await seen()).toBeDefined();
    expect((await parley(...reset, '--keep-devices')).code).toBe(0);
    expect(await seen()).toBeDefined();
    expect((await parley(...reset)).code).toBe(0);
    await heard(async () => (await seen()) === undefined);
  });

  it('list-users shows everybody with what is special about them', async () => {
    const { stdout } = await parley('list-users');
    expect(stdout).toMatch(/^@admin:localhost .*administrator$/m);
    expect(stdout).toMatch(/^@alice:localhost {2}\d{4}-\d\d-\d\d/m);
  });

  it('say so where there is no such account', async () => {
    for (const command of [
      'lock-user',
      'suspend-user',
      'make-admin',
      'log-out',
      'deactivate-user',
    ]) {
      const { code, stderr } = await parley(command, 'nobody');
      expect([command, code, stderr]).toEqual([command, 64, expect.stringContaining('no')]);
    }
  });

  it('deactivate-user ends an account, and the server takes it out of its rooms', async () => {
    expect((await parley('deactivate-user', 'alice', '--erase')).code).toBe(0);
    await heard(() => departed.includes(ALICE));
    expect(await seen()).toBeUndefined();
    expect((await parley('list-users')).stdout).not.toContain(ALICE);
    expect((await parley('list-users', '--all')).stdout).toMatch(/^@alice:.*deactivated$/m);
  });
});

describe('reports', () => {
  it('are read and closed', async () => {
    await test.database.transaction((tx) =>
      insertReport(tx, {
        reporter: ALICE,
        receivedAtMs: 0,
        roomId: '!room:localhost' as RoomId,
        eventId: '$event' as EventId,
        userId: '@mallory:elsewhere' as UserId,
        reason: 'sells\nthings',
      }),
    );
    const { stdout } = await parley('reports');
    expect(stdout).toContain('@mallory:elsewhere !room:localhost $event');
    // In one line, whatever somebody writes.
    expect(stdout).toContain('"sells\\nthings"');
    const [number] = stdout.split(' ');
    expect((await parley('close-report', number!)).stdout).toBe(`Report ${number} is closed\n`);
    expect((await parley('reports')).stdout).toBe('');
    expect((await parley('reports', '--all')).stdout).toContain('closed');
    expect((await parley('close-report', number!)).code).not.toBe(0);
    expect((await parley('close-report', 'x')).code).not.toBe(0);
  });
});
