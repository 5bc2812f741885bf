/**
 * `parley create-user` and `parley reset-password`. Both work beside a running server, which hears of
 * ended sessions within a second or so.
 */
import { matrixError } from '../../spec/errors.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { type Accounts, createAccounts } from '../accounts/accounts.ts';
import { systemClock } from '../clock.ts';
import { passwordPolicy, registrationPolicy } from '../config/derived.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { openDatabaseForCommand } from '../storage/open-database.ts';
import {
  type Command,
  type CommandOption,
  commandLogger,
  configFor,
  type OptionValues,
  print,
} from './command.ts';
import { choosePassword } from './password-input.ts';

const passwordOptions: Readonly<Record<string, CommandOption>> = {
  password: { type: 'string', value: 'TEXT', help: 'the password (others may see it in "ps")' },
  'password-stdin': { type: 'boolean', help: 'read the password from standard input' },
};

const withAccounts = async (
  options: OptionValues,
  work: (accounts: Accounts) => Promise<void>,
): Promise<number> => {
  const config = configFor(options);
  const opened = await openDatabaseForCommand(config, commandLogger());
  try {
    const accounts = createAccounts({
      database: opened.database,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      // The configuration's pattern is the grammar of server names.
      serverName: config.server_name as ServerName,
      registration: registrationPolicy(config),
      passwords: passwordPolicy(config),
      announcesChanges: true,
    });
    await work(accounts);
  } finally {
    await opened.stop();
  }
  return 0;
};

export const createUserCommand: Command = {
  name: 'create-user',
  arguments: ['NAME'],
  summary: 'makes an account; the first account is an administrator',
  options: {
    ...passwordOptions,
    admin: { type: 'boolean', help: 'make it an administrator' },
  },
  run: (options, [username = '']) =>
    withAccounts(options, async ({ registration, passwords }) => {
      await registration.claim(username);
      const { password, generated } = await choosePassword(options, systemRandom);
      passwords.checkNew(password);
      const isAdmin = options['admin'] === true ? true : undefined;
      const { userId } = await registration.registerByOperator(
        { username, password, isAdmin },
        undefined,
      );
      print(generated ? `${userId} has the password ${password}` : `${userId} is there`);
    }),
};

export const resetPasswordCommand: Command = {
  name: 'reset-password',
  arguments: ['NAME'],
  summary: 'gives an account a new password',
  options: {
    ...passwordOptions,
    'keep-devices': { type: 'boolean', help: 'leave its devices logged in' },
  },
  run: (options, [name = '']) =>
    withAccounts(options, async ({ credentials, changes }) => {
      const userId = credentials.userIdOf(name);
      if (userId === undefined) {
        throw matrixError('M_INVALID_USERNAME', `"${name}" is no user name of this server`);
      }
      const logoutDevices = options['keep-devices'] !== true;
      const { password, generated } = await choosePassword(options, systemRandom);
      await changes.setPassword(userId, password, { logoutDevices });
      print(
        generated ? `${userId} has the password ${password}` : `${userId} has the new password`,
      );
    }),
};
