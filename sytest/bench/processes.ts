/**
 * What the operating system says of a program that runs: memory and processor time. A program that
 * has started itself again as several processes is all of them.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const BYTES_PER_MB = 1e6;
/** The kernel reports processor time in ticks of this length, whatever its own clock does. */
const TICKS_PER_SECOND = 100;

export interface Memory {
  readonly residentMb: number;
  /** The highest it has been; undefined where the system keeps no such record. */
  readonly peakMb: number | undefined;
}

/** Of all its processes together. @throws when there is no such process */
export const memoryOf = async (pid: number): Promise<Memory> => {
  const all = await Promise.all((await processesOf(pid)).map(memoryOfOne));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    residentMb: sum(all.map(({ residentMb }) => residentMb)),
    peakMb: all.some(({ peakMb }) => peakMb === undefined)
      ? undefined
      : sum(all.map(({ peakMb = 0 }) => peakMb)),
  };
};

const memoryOfOne = async (pid: number): Promise<Memory> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  if (status === undefined) {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
    return { residentMb: (Number(stdout) * 1024) / BYTES_PER_MB, peakMb: undefined };
  }
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return {
    residentMb: (kib('VmRSS') * 1024) / BYTES_PER_MB,
    peakMb: (kib('VmHWM') * 1024) / BYTES_PER_MB,
  };
};

/** The peak that is told from now on is that of the time from now on. Only where /proc is. */
export const forgetPeak = async (pid: number): Promise<void> => {
  for (const each of await processesOf(pid)) {
    // https://www.kernel.org/doc/html/latest/filesystems/proc.html, `clear_refs`
    await writeFile(`/proc/${each}/clear_refs`, '5').catch(() => undefined);
  }
};

/** Processor time of all its processes so far, all threads; undefined where /proc is absent. */
export const cpuSecondsOf = async (pid: number): Promise<number | undefined> => {
  let seconds: number | undefined;
  for (const each of await processesOf(pid)) {
    const stat = await statOf(each);
    if (stat !== undefined) seconds = (seconds ?? 0) + stat.seconds;
  }
  return seconds;
};

/** Of a PostgreSQL, by its main process: those who serve connections, and those who have. */
export const databaseCpuSecondsOf = async (postmaster: number): Promise<number | undefined> => {
  const main = await statOf(postmaster);
  if (main === undefined) return undefined;
  const children = await childrenOf(postmaster);
  return main.seconds + main.endedSeconds + children.reduce((sum, child) => sum + child.seconds, 0);
};

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly seconds: number;
  /** Of its children that have ended. */
  readonly endedSeconds: number;
}

const statOf = async (pid: number): Promise<Stat | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name, in parentheses, may hold spaces; the numbers follow it.
  const fields = stat
    ?.slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number) as number[] | undefined;
  if (fields === undefined) return undefined;
  const [, parent = 0, ...rest] = fields;
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = rest.slice(9);
  return {
    pid,
    parent,
    seconds: (user + system) / TICKS_PER_SECOND,
    endedSeconds: (endedUser + endedSystem) / TICKS_PER_SECOND,
  };
};

const childrenOf = async (pid: number): Promise<Stat[]> => {
  const all = await readdir('/proc').catch(() => []);
  const stats = await Promise.all(
    all
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .map(statOf),
  );
  return stats.filter((stat): stat is Stat => stat?.parent === pid);
};

/** Itself, and its children that run the same program in the same way. */
const processesOf = async (pid: number): Promise<number[]> => {
  const command = await commandOf(pid);
  const same = [pid];
  if (command === undefined) return same;
  for (const child of await childrenOf(pid)) {
    if ((await commandOf(child.pid)) === command) same.push(child.pid);
  }
  return same;
};

const commandOf = (pid: number): Promise<string | undefined> =>
  readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
