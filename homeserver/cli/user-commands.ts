/** Commands about people: who there is, and what an operator does to accounts. */
import { matrixError } from '../../spec/errors.ts';
import { isDeviceId } from '../../spec/identifiers.ts';
import { listUsers } from '../storage/users.ts';
import { type Command, type OptionValues, print } from './command.ts';
import { accountNamed, withAccounts } from './with-accounts.ts';

const PAGE = 500;

const day = (ms: number | undefined): string =>
  ms === undefined ? '-' : new Date(ms).toISOString().slice(0, 10);

export const listUsersCommand: Command = {
  name: 'list-users',
  summary: 'lists accounts: name, since when, last seen, and what is special about them',
  options: { all: { type: 'boolean', help: 'deactivated ones and guests too' } },
  run: (options) =>
    withAccounts(options, async (_accounts, database) => {
      let after: string | undefined;
      for (;;) {
        const users = await listUsers(database, {
          after,
          limit: PAGE,
          all: options['all'] === true,
        });
        for (const user of users) {
          const marks = [
            user.isAdmin && 'administrator',
            user.isGuest && 'guest',
            user.locked && 'locked',
            user.suspended && 'suspended',
            user.deactivatedAtMs !== undefined && 'deactivated',
          ].filter((mark) => mark !== false);
          const dates = `${day(user.createdAtMs)}  ${day(user.lastSeenMs).padEnd(10)}`;
          print(`${user.userId}  ${dates}  ${marks.join(', ')}`.trimEnd());
        }
        after = users.at(-1)?.userId;
        if (users.length < PAGE || after === undefined) return;
      }
    }),
};

/** A command that sets a flag of an account, and with `--undo` takes it back. */
const flagCommand = (
  name: string,
  summary: string,
  flag: 'isAdmin' | 'locked' | 'suspended',
  said: readonly [on: string, off: string],
): Command => ({
  name,
  arguments: ['NAME'],
  summary,
  options: { undo: { type: 'boolean', help: 'take it back' } },
  run: (options: OptionValues, [user = '']) =>
    withAccounts(options, async (accounts) => {
      const userId = accountNamed(accounts, user);
      const value = options['undo'] !== true;
      await accounts.changes.setFlags(userId, { [flag]: value });
      print(`${userId} ${value ? said[0] : said[1]}`);
    }),
});

export const makeAdminCommand = flagCommand(
  'make-admin',
  'makes somebody an administrator',
  'isAdmin',
  ['is an administrator', 'is no administrator'],
);

export const lockUserCommand = flagCommand(
  'lock-user',
  'keeps somebody out, their sessions untouched',
  'locked',
  ['is locked', 'is not locked'],
);

export const suspendUserCommand = flagCommand(
  'suspend-user',
  'lets somebody read and nothing else',
  'suspended',
  ['is suspended', 'is not suspended'],
);

export const deactivateUserCommand: Command = {
  name: 'deactivate-user',
  arguments: ['NAME'],
  summary: 'ends an account for ever: nobody logs in to it, and nobody gets its name',
  options: { erase: { type: 'boolean', help: 'hide their messages from whoever comes later' } },
  run: (options, [name = '']) =>
    withAccounts(options, async (accounts) => {
      const userId = accountNamed(accounts, name);
      if ((await accounts.users.get(userId)) === undefined) {
        throw matrixError('M_NOT_FOUND', `There is no account ${userId}`);
      }
      await accounts.changes.deactivate(userId, { erase: options['erase'] === true });
      print(`${userId} is deactivated; the server takes it out of its rooms`);
    }),
};

export const logOutCommand: Command = {
  name: 'log-out',
  arguments: ['NAME'],
  summary: 'ends all sessions of somebody, or that of one device',
  options: { device: { type: 'string', value: 'ID', help: 'this device alone' } },
  run: (options, [name = '']) =>
    withAccounts(options, async (accounts) => {
      const userId = accountNamed(accounts, name);
      const device = options['device'];
      if (device === undefined) {
        await accounts.changes.logOut(userId);
        print(`${userId} is logged out everywhere`);
        return;
      }
      if (typeof device !== 'string' || !isDeviceId(device)) {
        throw matrixError('M_INVALID_PARAM', `"${String(device)}" is no device id`);
      }
      if ((await accounts.devices.get(userId, device)) === undefined) {
        throw matrixError('M_NOT_FOUND', `${userId} has no device ${device}`);
      }
      await accounts.changes.logOut(userId, device);
      print(`${userId} is logged out on ${device}`);
    }),
};
