import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canReach, choosePostgresUser } from './postgres-user.ts';

describe('who runs PostgreSQL', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-user-'));
    await mkdir(join(folder, 'inner'), { mode: 0o755 });
  });
  afterAll(() => rm(folder, { recursive: true }));

  const stranger = { name: 'stranger', uid: 54_321, gid: 54_321 };

  it('cannot be somebody whom a folder above keeps out', async () => {
    await chmod(folder, 0o700);
    expect(await canReach(stranger, join(folder, 'inner'))).toBe(false);
    await chmod(folder, 0o711);
    expect(await canReach(stranger, join(folder, 'inner'))).toBe(true);
    await chmod(folder, 0o710);
    expect(await canReach(stranger, join(folder, 'inner'))).toBe(false);
  });

  it('is never root', async () => {
    const { user } = await choosePostgresUser(undefined, [folder]);
    if (process.getuid?.() === 0) expect(user?.uid).toBeGreaterThan(0);
    else expect(user).toBeUndefined();
  });

  it('is the owner of the cluster, whoever that is, or nobody is', async () => {
    const choice = choosePostgresUser(stranger.uid, [folder]);
    if (process.getuid?.() === 0) {
      expect((await choice).user?.uid).toBe(stranger.uid);
    } else {
      await expect(choice).rejects.toMatchObject({ exitCode: 77 });
    }
  });
});
