/**
 * One server at a time in a data folder. The lock is a file that says who holds it, precisely enough
 * that neither `kill -9` nor a reused pid leaves a folder locked, and a holder in another container
 * (whose pids mean nothing here) is known by its heartbeat.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startIdentity } from '../ops/processes.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { diskFull } from './free-space.ts';

export interface DataFolderLock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  readonly started: string | undefined;
  readonly host: string;
}

const heartbeatMs = 5_000;
/** A heartbeat older than this belongs to nobody. */
const staleHeartbeatMs = 15_000;

const read = async (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });

const parse = (text: string): Holder | undefined => {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
};

const heartbeatAgeMs = async (file: string): Promise<number> =>
  stat(file).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );

const isHeld = async (file: string, text: string): Promise<boolean> => {
  const holder = parse(text);
  if (holder === undefined) return false;
  if (holder.host === hostname()) {
    return holder.started !== undefined && (await startIdentity(holder.pid)) === holder.started;
  }
  // It may just have been killed: wait until its heart would have beaten.
  while ((await heartbeatAgeMs(file)) < staleHeartbeatMs) {
    const before = (await heartbeatAgeMs(file)) + heartbeatMs;
    await sleep(heartbeatMs + 500);
    if ((await heartbeatAgeMs(file)) < before) return true;
  }
  return false;
};

const lockFile = (folder: string): string => join(folder, 'lock');

/** Who holds the folder now, by pid; `undefined` when nobody does. */
export const dataFolderHolder = async (folder: string): Promise<number | undefined> => {
  const text = await read(lockFile(folder));
  if (text === undefined || !(await isHeld(lockFile(folder), text))) return undefined;
  return parse(text)?.pid;
};

/** Unlike a rename, a link fails where there is a file already. */
const linkIfAbsent = async (from: string, to: string): Promise<boolean> =>
  link(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );

const locked = (folder: string, text: string): StartFailure =>
  new StartFailure(
    'locked',
    `The data folder ${folder} is in use by another server (process ${parse(text)?.pid} on ` +
      `${parse(text)?.host}). Stop that one first. A second server needs a data_dir and a database of ` +
      'its own.',
  );

/**
 * Replaces the stale lock `text` by the file `mine`. Only the holder of the takeover file may, and it
 * looks again first, so of many who judged the same lock stale one replaces it. Answers whether we did.
 */
const takeOver = async (file: string, text: string, mine: string): Promise<boolean> => {
  const claim = `${file}.takeover`;
  if (!(await linkIfAbsent(mine, claim))) {
    const claimed = await read(claim);
    if (claimed !== undefined && !(await isHeld(claim, claimed))) await rm(claim, { force: true });
    await sleep(20);
    return false;
  }
  try {
    if ((await read(file)) !== text) return false;
    await rename(mine, file);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
};

/** Throws a `StartFailure` when another process holds the folder. */
export const lockDataFolder = async (folder: string): Promise<DataFolderLock> => {
  const file = lockFile(folder);
  const mine = `${file}.${randomBytes(6).toString('hex')}`;
  const holder: Holder = {
    pid: process.pid,
    started: await startIdentity(process.pid),
    host: hostname(),
  };
  const content = `${JSON.stringify(holder)}\n`;
  try {
    await writeFile(mine, content, { flag: 'wx' });
    while (!(await linkIfAbsent(mine, file))) {
      const text = await read(file);
      if (text === undefined) continue;
      if (await isHeld(file, text)) throw locked(folder, text);
      if (await takeOver(file, text, mine)) break;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw diskFull(folder, 'not even a lock file could be written', error);
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new StartFailure(
        'permission',
        `The data folder ${folder} cannot be written (${code}). Start the server as the user it ` +
          'belongs to, give the folder to this user with "chown -R", or set data_dir to another one.',
        { cause: error },
      );
    }
    throw error;
  } finally {
    await rm(mine, { force: true });
  }
  const heart = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, heartbeatMs);
  heart.unref();
  return {
    async release() {
      clearInterval(heart);
      if ((await read(file)) === content) await rm(file, { force: true });
    },
  };
};
