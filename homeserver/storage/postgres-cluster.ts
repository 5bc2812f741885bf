/** A cluster folder from nothing: made aside and renamed, so that an interrupted start leaves none. */
import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StartFailure } from '../ops/start-failure.ts';
import { diskFull } from './free-space.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { PostgresUser } from './postgres-user.ts';

/** What the programs inherit: nothing of our own environment, which may hold secrets. */
export const programEnvironment = (): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  LC_ALL: 'C',
});

/** The uid that owns the cluster in `folder`; `undefined` when there is none yet. */
export const clusterOwner = async (folder: string): Promise<number | undefined> =>
  stat(join(folder, 'PG_VERSION')).then(
    ({ uid }) => uid,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new StartFailure(
        'permission',
        `The database in ${folder} cannot be read (${error.code}). Start the server as the user it ` +
          'belongs to or as root, or give the data folder to this user with "chown -R".',
        { cause: error },
      );
    },
  );

/** Throws a `StartFailure` when the cluster was made by another major version of PostgreSQL. */
export const requireMajorVersion = async (folder: string, major: string): Promise<void> => {
  const found = (await readFile(join(folder, 'PG_VERSION'), 'utf8')).trim();
  if (found === major) return;
  throw new StartFailure(
    'unsupported',
    `The database in ${folder} was made by PostgreSQL ${found}, and this release brings PostgreSQL ` +
      `${major}, which cannot read it. Either go back to the release that ran it before, or run a ` +
      `PostgreSQL ${found} on that folder, "pg_dump" its database "parley", move the folder away, ` +
      'start this release once so that it makes a new one, stop it, and load the dump with "psql" ' +
      '(docs/configuration.md says how to reach the socket).',
  );
};

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const runInitdb = (
  initdb: string,
  user: PostgresUser,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve, reject) => {
    const { command, args: full, ids } = user.launch(initdb, args);
    const child = spawn(command, full, {
      ...ids,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: programEnvironment(),
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });

/** Makes the cluster `folder`, with one superuser whose sessions through the socket need no password. */
export const createCluster = async (
  folder: string,
  binaries: PostgresBinaries,
  user: PostgresUser,
  options: { superuser: string; durable: boolean },
): Promise<void> => {
  const parent = dirname(folder);
  const prefix = `${basename(folder)}.new-`;
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true });
  }
  const partial = join(parent, `${prefix}${process.pid}`);
  await mkdir(partial, { mode: 0o700 });
  await user.own(partial);
  const { code, output } = await runInitdb(binaries.initdb, user, [
    `--pgdata=${partial}`,
    `--username=${options.superuser}`,
    '--auth=trust',
    '--encoding=UTF8',
    // Orders by code point on every system, and still knows upper and lower case beyond ASCII.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(options.durable ? [] : ['--no-sync']),
  ]);
  if (code !== 0) {
    await rm(partial, { recursive: true, force: true });
    if (output.includes('No space left on device')) {
      throw diskFull(parent, 'there is no room for a new database');
    }
    throw new StartFailure(
      'unavailable',
      `The embedded database could not be created in ${parent}. PostgreSQL says: ` +
        `${output.trim().replaceAll(/\s*\n\s*/g, ' ')}`,
    );
  }
  await rename(partial, folder);
  if (options.durable) await syncFolder(parent);
};
