/** Refusing to start on a full disk, before anything is written that could be left half done. */
import { statfs } from 'node:fs/promises';
import { StartFailure } from '../ops/start-failure.ts';

const megabytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MB`;

/** What an ordinary user may still write below `folder`, in bytes. */
export const freeBytes = async (folder: string): Promise<number> => {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
};

export const diskFull = (folder: string, detail: string, cause?: unknown): StartFailure =>
  new StartFailure(
    'disk',
    `The disk that holds ${folder} is full: ${detail}. Nothing was damaged. Free some space there, ` +
      'or set data_dir to a folder on a larger disk (moving the old folder along), and start again.',
    { cause },
  );

/** Throws a `StartFailure` unless at least `minimumBytes` can still be written below `folder`. */
export const requireFreeSpace = async (folder: string, minimumBytes: number): Promise<void> => {
  const free = await freeBytes(folder);
  if (free < minimumBytes) {
    throw diskFull(
      folder,
      `${megabytes(free)} are free, and at least ${megabytes(minimumBytes)} are needed`,
    );
  }
};
