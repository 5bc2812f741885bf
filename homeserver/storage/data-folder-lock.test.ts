import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startIdentity } from '../ops/processes.ts';
import { dataFolderHolder, lockDataFolder } from './data-folder-lock.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (holder: object) => writeFile(join(folder, 'lock'), JSON.stringify(holder));

describe('lockDataFolder', () => {
  it('keeps a second one out, and lets it in afterwards', async () => {
    const lock = await lockDataFolder(folder);
    expect(await dataFolderHolder(folder)).toBe(process.pid);
    await expect(lockDataFolder(folder)).rejects.toMatchObject({
      exitCode: 75,
      message: expect.stringContaining(`process ${process.pid}`),
    });
    await lock.release();
    expect(await dataFolderHolder(folder)).toBeUndefined();
    await (await lockDataFolder(folder)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('takes over from a process that was killed', async () => {
    const child = spawn('sleep', ['60']);
    const pid = child.pid ?? 0;
    await write({ pid, started: await startIdentity(pid), host: hostname() });
    await expect(lockDataFolder(folder)).rejects.toMatchObject({ exitCode: 75 });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    await (await lockDataFolder(folder)).release();
  });

  it('is not fooled by a pid that belongs to another process now', async () => {
    await write({ pid: process.ppid, started: 'an earlier life', host: hostname() });
    await (await lockDataFolder(folder)).release();
  });

  it('takes over a lock that is empty or torn', async () => {
    await writeFile(join(folder, 'lock'), '{"pid":');
    await (await lockDataFolder(folder)).release();
  });

  it('takes over from another host once its heart has stopped', async () => {
    await write({ pid: 1, started: 'x', host: 'another-container' });
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(join(folder, 'lock'), longAgo, longAgo);
    await (await lockDataFolder(folder)).release();
  });

  it('respects another host whose heart beats', async () => {
    await write({ pid: 1, started: 'x', host: 'another-container' });
    const beat = setInterval(() => {
      const now = new Date();
      utimes(join(folder, 'lock'), now, now).catch(() => undefined);
    }, 1_000);
    try {
      await expect(lockDataFolder(folder)).rejects.toMatchObject({ exitCode: 75 });
    } finally {
      clearInterval(beat);
    }
  });

  it('goes to exactly one of many that find a stale lock at the same time', async () => {
    for (let round = 0; round < 20; round += 1) {
      await write({ pid: process.ppid, started: 'an earlier life', host: hostname() });
      const tries = await Promise.allSettled(
        Array.from({ length: 8 }, () => lockDataFolder(folder)),
      );
      const won = tries.filter((result) => result.status === 'fulfilled');
      expect(won).toHaveLength(1);
      expect(await readFile(join(folder, 'lock'), 'utf8')).toContain(`"pid":${process.pid}`);
      await won[0]?.value.release();
    }
  });
});
