/** The name a database belongs to: users and rooms carry it, so it cannot change. */
import type { ServerName } from '../../spec/identifiers.ts';
import { StartFailure } from '../ops/start-failure.ts';
import type { Database } from './database.ts';
import { factValue, stateFact } from './users.ts';

const fact = 'server_name';

/** @throws StartFailure when the database was made under another server name */
export const assertServerName = (database: Database, serverName: ServerName): Promise<void> =>
  database.transaction(async (tx) => {
    if (await stateFact(tx, fact, serverName)) return;
    const known = await factValue(tx, fact);
    if (known === serverName) return;
    throw new StartFailure(
      'config',
      `server_name is ${serverName}, but the data in this database belongs to ${known}. The name ` +
        'is part of every user and room and cannot change: set it back, or start with an empty ' +
        'data_dir or database.',
    );
  });
