import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerName } from '../../spec/identifiers.ts';
import { createAccounts } from '../accounts/accounts.ts';
import { systemClock } from '../clock.ts';
import { passwordPolicy, registrationPolicy } from '../config/derived.ts';
import { loadConfig } from '../config/load.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { runParley } from '../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';

let test: TestDatabase;
let folder: string;
beforeAll(async () => {
  test = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'parley-accounts-'));
  await chmod(folder, 0o711);
});
afterAll(async () => {
  await test.close();
  await rm(folder, { recursive: true });
});

const cheap = { PARLEY_ACCOUNTS_PASSWORD_HASH_MEMORY_KIB: '8' };

const parley = (...args: string[]) =>
  runParley(args, folder, { ...cheap, PARLEY_DATABASE_URL: test.url });

const accounts = () => {
  const config = loadConfig({ env: cheap });
  return createAccounts({
    database: test.database,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    serverName: config.server_name as ServerName,
    registration: registrationPolicy(config),
    passwords: passwordPolicy(config),
  });
};

const passwordIs = async (name: string, password: string): Promise<boolean> => {
  const { rows } = await test.database.query<{ hash: string }>({
    text: 'SELECT password_hash AS hash FROM users WHERE user_id = $1',
    values: [`@${name}:localhost`],
  });
  return accounts().passwords.matches(password, rows[0]?.hash, '');
};

const isAdmin = async (name: string): Promise<boolean | undefined> => {
  const { rows } = await test.database.query<{ is_admin: boolean }>({
    text: 'SELECT is_admin FROM users WHERE user_id = $1',
    values: [`@${name}:localhost`],
  });
  return rows[0]?.is_admin;
};

describe('parley create-user', () => {
  it('makes the first account an administrator, and others on demand', async () => {
    expect(await parley('create-user', 'alice', '--password', 'correct horse')).toEqual({
      code: 0,
      stdout: '@alice:localhost is there\n',
      stderr: '',
    });
    expect(await passwordIs('alice', 'correct horse')).toBe(true);
    expect(await isAdmin('alice')).toBe(true);
    const bob = await parley('create-user', 'bob');
    const password = /^@bob:localhost has the password (\S+)\n$/.exec(bob.stdout)?.[1] ?? '';
    expect(await passwordIs('bob', password)).toBe(true);
    expect(await isAdmin('bob')).toBe(false);
    await parley('create-user', 'carol', '--admin', '--password', 'correct horse');
    expect(await isAdmin('carol')).toBe(true);
  });

  it('says what is wrong with a name or a password', async () => {
    expect(await parley('create-user', 'alice')).toMatchObject({
      code: 64,
      stderr: 'This user name is taken.\n',
    });
    expect((await parley('create-user', 'no spaces')).code).toBe(64);
    expect((await parley('create-user', 'dora', '--password', 'short')).stderr).toContain(
      'at least 8 characters',
    );
    expect((await parley('create-user')).stderr).toContain('parley create-user NAME');
  });
});

describe('parley reset-password', () => {
  it('sets the password of an account there is', async () => {
    const reset = await parley(
      'reset-password',
      '@alice:localhost',
      '--password',
      'battery staple',
    );
    expect(reset).toMatchObject({ code: 0, stdout: '@alice:localhost has the new password\n' });
    expect(await passwordIs('alice', 'battery staple')).toBe(true);
    expect(await parley('reset-password', 'nobody', '--password', 'battery staple')).toMatchObject({
      code: 64,
      stderr: 'There is no such account.\n',
    });
  });
});

describe('parley registration-token', () => {
  it('makes a token that is valid', async () => {
    const { stdout } = await parley('registration-token', '--days', '1');
    expect(await accounts().registrationTokens.isValid(stdout.trim())).toBe(true);
    const own = await parley('registration-token', '--token', 'my-token', '--unlimited');
    expect(own.stdout).toBe('my-token\n');
    expect(await parley('registration-token', '--uses', 'x')).toMatchObject({
      code: 64,
      stderr: '--uses is "x", expected a whole number above 0\n',
    });
  });
});
