/** What commands on accounts share: the database, opened and closed, and names as people type them. */
import { matrixError } from '../../spec/errors.ts';
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import { type Accounts, createAccounts } from '../accounts/accounts.ts';
import { systemClock } from '../clock.ts';
import { passwordPolicy, registrationPolicy } from '../config/derived.ts';
import { recordDeviceChanges } from '../encryption/device-changes.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import type { Database } from '../storage/database.ts';
import { openDatabaseForCommand } from '../storage/open-database.ts';
import { commandLogger, configFor, type OptionValues } from './command.ts';

/**
 * Runs `work` on the accounts of the configured server, which may be running: it is told of what is
 * changed.
 */
export const withAccounts = async (
  options: OptionValues,
  work: (accounts: Accounts, database: Database) => Promise<void>,
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
      deviceListeners: [recordDeviceChanges],
    });
    await work(accounts, opened.database);
  } finally {
    await opened.stop();
  }
  return 0;
};

/** `alice` or `@alice:example.org`. @throws MatrixError M_INVALID_USERNAME */
export const accountNamed = ({ credentials }: Accounts, name: string): UserId => {
  const userId = credentials.userIdOf(name);
  if (userId === undefined) {
    throw matrixError('M_INVALID_USERNAME', `"${name}" is no user name of this server`);
  }
  return userId;
};
