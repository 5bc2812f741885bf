/** The doctor's look at the data folder and the database. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type { Config } from '../config/schema.ts';
import { dataFolderHolder } from '../storage/data-folder-lock.ts';
import { freeBytes } from '../storage/free-space.ts';
import { appliedMigrations } from '../storage/migrate.ts';
import { ensureDataFolder, openDatabaseForCommand } from '../storage/open-database.ts';
import { commandLogger } from './command.ts';
import { bad, type Finding, good, remark } from './finding.ts';

const comfortableBytes = 2 ** 30;

export const checkDataFolder = async (config: Config): Promise<Finding[]> => {
  const folder = await ensureDataFolder(config.data_dir);
  const writable = await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) {
    return [bad(`${folder} cannot be written by this user`, 'Give it to the user of the server.')];
  }
  const megabytes = Math.floor((await freeBytes(folder)) / 2 ** 20);
  const text = `${folder}, ${megabytes} MB free on its disk`;
  return [
    megabytes * 2 ** 20 < comfortableBytes
      ? remark(text, 'Under 1 GB: make room before it runs full.')
      : good(text),
  ];
};

interface ServerFacts {
  readonly version: string;
  readonly encoding: string;
  readonly collation: string;
  readonly bytes: number;
}

export const checkDatabase = async (config: Config): Promise<Finding[]> => {
  const holder = config.database.url === null ? await dataFolderHolder(config.data_dir) : undefined;
  const opened = await openDatabaseForCommand(config, commandLogger());
  try {
    const { rows } = await opened.database.query<ServerFacts>({
      text:
        "SELECT current_setting('server_version') AS version, " +
        'pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, ' +
        'pg_database_size(oid) AS bytes FROM pg_database WHERE datname = current_database()',
    });
    const [facts] = rows;
    const kind = config.database.url === null ? 'embedded' : 'at database.url';
    const running = holder === undefined ? '' : `, in use by the server (process ${holder})`;
    const applied = await appliedMigrations(opened.database);
    const size = Math.ceil((facts?.bytes ?? 0) / 2 ** 20);
    return [
      good(
        `PostgreSQL ${facts?.version} ${kind}, ${facts?.encoding}, locale ${facts?.collation}, ` +
          `${size} MB${running}`,
      ),
      good(`schema up to date, ${applied.length} migrations`),
    ];
  } finally {
    await opened.stop();
  }
};
