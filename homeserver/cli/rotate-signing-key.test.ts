import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { systemRandom } from '../random.ts';
import { openKeyFile, readKeyFile } from '../signing-keys/key-file.ts';
import { rotateSigningKeyCommand } from './rotate-signing-key.ts';

describe('parley rotate-signing-key', () => {
  let folder: string;
  let config: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rotate-'));
    config = join(folder, 'config.yaml');
    await writeFile(config, 'server_name: here.test\ndata_dir: .\n');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('puts a new key in use and keeps the old one to check with', async () => {
    const path = join(folder, 'signing.key');
    const before = await openKeyFile(path, systemRandom);
    const output = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    expect(await rotateSigningKeyCommand.run({ config }, [])).toBe(0);
    output.mockRestore();
    const after = await readKeyFile(path);
    expect(after.current).toHaveLength(1);
    expect(after.current[0].keyId).not.toBe(before.current[0].keyId);
    expect(after.retired).toMatchObject([
      { keyId: before.current[0].keyId, publicKey: before.current[0].publicKey },
    ]);
  });

  it('does nothing where there is no key yet', async () => {
    await expect(rotateSigningKeyCommand.run({ config }, [])).rejects.toThrow('ENOENT');
  });
});
