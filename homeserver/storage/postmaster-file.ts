/**
 * `postmaster.pid`, the file by which a running PostgreSQL shows itself in its cluster folder, and
 * what to do about a server that an earlier, killed process of ours left behind.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPostgresIn, isRunning, isTaken } from '../ops/processes.ts';

export interface RunningPostmaster {
  readonly pid: number;
  readonly port: number;
  readonly socketFolder: string;
  readonly ready: boolean;
}

/** The file's claim, which may be stale. `undefined` when absent or not yet complete. */
export const readPostmasterFile = async (
  cluster: string,
): Promise<RunningPostmaster | undefined> => {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid, , , port, socketFolder, , , status] = text.split('\n');
  if (Number(pid) > 0 === false || socketFolder === undefined) return undefined;
  return {
    pid: Math.abs(Number(pid)),
    port: Number(port),
    socketFolder,
    ready: status?.trim() === 'ready',
  };
};

/** The server that runs in `cluster` right now and takes connections. */
export const findRunningPostmaster = async (
  cluster: string,
): Promise<RunningPostmaster | undefined> => {
  const claim = await readPostmasterFile(cluster);
  return claim?.ready && (await isPostgresIn(claim.pid, cluster)) ? claim : undefined;
};

/** Every process of a server in `cluster`; only Linux can tell. */
const processesIn = async (cluster: string): Promise<number[]> => {
  const names = process.platform === 'linux' ? await readdir('/proc').catch(() => []) : [];
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => isPostgresIn(pid, cluster)));
  return pids.filter((pid, index) => found[index] && pid !== process.pid);
};

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

/** True when `pid` ended within `timeoutMs`. */
export const waitForEnd = async (pid: number, timeoutMs: number): Promise<boolean> => {
  for (let waitedMs = 0; await isRunning(pid); waitedMs += 20) {
    if (waitedMs >= timeoutMs) return false;
    await sleep(20);
  }
  return true;
};

const fastShutdownMs = 20_000;
const immediateShutdownMs = 5_000;

/**
 * Ends a server left in `cluster`: in order (SIGINT: sessions are cut, everything is written), then
 * at once (SIGQUIT: it recovers at its next start). The caller holds the data folder, so nobody
 * uses that server any more. Answers whether there was one.
 */
export const stopLeftoverPostmaster = async (cluster: string): Promise<boolean> => {
  const claim = await readPostmasterFile(cluster);
  if (claim === undefined) return false;
  let found = false;
  if (await isPostgresIn(claim.pid, cluster)) {
    found = true;
    signal(claim.pid, 'SIGINT');
    if (!(await waitForEnd(claim.pid, fastShutdownMs))) {
      signal(claim.pid, 'SIGQUIT');
      await waitForEnd(claim.pid, immediateShutdownMs);
    }
  }
  // Sessions outlive a killed postmaster until they notice; a new one refuses to start beside them.
  for (const pid of await processesIn(cluster)) {
    found = true;
    signal(pid, 'SIGQUIT');
    await waitForEnd(pid, immediateShutdownMs);
  }
  // The pid of a stale file may by now be anybody's, and PostgreSQL would take it for a server.
  if (isTaken(claim.pid) && !(await isPostgresIn(claim.pid, cluster))) {
    await rm(join(cluster, 'postmaster.pid'), { force: true });
  }
  return found;
};
