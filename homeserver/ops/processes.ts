/** What can be known about another process of this machine, so that a reused pid fools nobody. */
import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ps = async (pid: number, column: string): Promise<string | undefined> =>
  run('ps', ['-o', `${column}=`, '-p', String(pid)]).then(
    ({ stdout }) => stdout.trim() || undefined,
    () => undefined,
  );

/** Whether the pid is taken: also by a process of another user, and by one ended but not reaped. */
export const isTaken = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/**
 * When the process began, as an opaque text that no later process with the same pid shares.
 * `undefined` when there is no such process.
 */
export const startIdentity = async (pid: number): Promise<string | undefined> => {
  if (!isTaken(pid)) return undefined;
  if (process.platform !== 'linux') return ps(pid, 'lstart');
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold anything; count after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    return `${boot.trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
};

/** Unlike {@link isTaken}, false for a process that has ended and waits for its parent to notice. */
export const isRunning = async (pid: number): Promise<boolean> =>
  (await startIdentity(pid)) !== undefined;

/** Whether `pid` is a PostgreSQL process working in `clusterFolder` (a real path). */
export const isPostgresIn = async (pid: number, clusterFolder: string): Promise<boolean> => {
  if (!isTaken(pid)) return false;
  if (process.platform === 'linux') {
    const program = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (program.trim() !== 'postgres') return false;
    return readlink(`/proc/${pid}/cwd`).then(
      (folder) => folder === clusterFolder,
      // Another user's process: told apart by its command line, which anyone may read.
      () =>
        readFile(`/proc/${pid}/cmdline`, 'utf8').then(
          (line) => line.split('\0').includes(clusterFolder),
          () => false,
        ),
    );
  }
  return ((await ps(pid, 'args')) ?? '').includes(clusterFolder);
};
