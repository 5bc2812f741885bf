/** What the operating system says of another process: memory and processor time. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const BYTES_PER_MB = 1e6;
/** The kernel reports processor time in ticks of this length, whatever its own clock does. */
const TICKS_PER_SECOND = 100;

export interface Memory {
  readonly residentMb: number;
  /** The highest it has been; undefined where the system keeps no such record. */
  readonly peakMb: number | undefined;
}

/** @throws when there is no such process */
export const memoryOf = async (pid: number): Promise<Memory> => {
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
  // https://www.kernel.org/doc/html/latest/filesystems/proc.html, `clear_refs`
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined);
};

/** Processor time used so far, all threads; undefined where /proc is absent. */
export const cpuSecondsOf = async (pid: number): Promise<number | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name, in parentheses, may hold spaces; the numbers follow it.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined) return undefined;
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
};
