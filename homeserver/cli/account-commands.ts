/** `parley create-user` and `parley reset-password`. Both work beside a running server. */
import { systemRandom } from '../random.ts';
import { type Command, type CommandOption, print } from './command.ts';
import { choosePassword } from './password-input.ts';
import { accountNamed, withAccounts } from './with-accounts.ts';

const passwordOptions: Readonly<Record<string, CommandOption>> = {
  password: { type: 'string', value: 'TEXT', help: 'the password (others may see it in "ps")' },
  'password-stdin': { type: 'boolean', help: 'read the password from standard input' },
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
    withAccounts(options, async (accounts) => {
      const userId = accountNamed(accounts, name);
      const logoutDevices = options['keep-devices'] !== true;
      const { password, generated } = await choosePassword(options, systemRandom);
      await accounts.changes.setPassword(userId, password, { logoutDevices });
      print(
        generated ? `${userId} has the password ${password}` : `${userId} has the new password`,
      );
    }),
};
