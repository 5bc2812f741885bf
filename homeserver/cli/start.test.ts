import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning } from '../ops/processes.ts';
import { readPostmasterFile } from '../storage/postmaster-file.ts';
import { eventually, runParley, ServerProcess } from '../testing/server-process.ts';

let folder: string;
const started: ServerProcess[] = [];

const start = (env: Record<string, string> = {}): ServerProcess => {
  const server = new ServerProcess(['start'], folder, env);
  started.push(server);
  return server;
};

const postmaster = async (): Promise<number> =>
  (await readPostmasterFile(join(folder, 'postgres')))?.pid ?? 0;

const isReady = async (address: string): Promise<boolean> =>
  fetch(`${address}/health/ready`).then(
    ({ status }) => status === 200,
    () => false,
  );

/** The process that ends the database when its server is gone. */
const watchdogOf = (pid: number): number => {
  const { stdout } = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
  const line = stdout.split('\n').find((each) => each.includes(`sh ${pid} ${folder}`));
  return Number(line?.trim().split(' ')[0]);
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-cli-'));
  await chmod(folder, 0o711);
});

afterEach(async () => {
  for (const server of started.splice(0)) {
    if (server.child.exitCode === null) await server.signal('SIGKILL');
  }
  const pid = await postmaster();
  await eventually('the database ends', async () => pid === 0 || !(await isRunning(pid)));
  await rm(folder, { recursive: true });
});

describe('parley start', () => {
  it('serves within seconds, stops in order, and leaves nothing running', async () => {
    const beganMs = Date.now();
    const server = start();
    const address = await server.address();
    expect(Date.now() - beganMs).toBeLessThan(5_000);
    expect(await isReady(address)).toBe(true);
    const pid = await postmaster();
    const { code, stdout } = await server.signal('SIGTERM');
    expect(code).toBe(0);
    expect(stdout).toContain('"msg":"stopped"');
    expect(await isRunning(pid)).toBe(false);
    expect(await readdir(folder)).not.toContain('lock');
  });

  it('keeps a second start out of the data folder and goes on undisturbed', async () => {
    const address = await start().address();
    const second = await runParley(['start'], folder);
    expect(second.code).toBe(75);
    expect(second.stderr).toMatch(/^The data folder .* is in use by another server \(process \d+/);
    expect(await isReady(address)).toBe(true);
  });

  it('runs migrate and doctor beside itself', async () => {
    await start().address();
    expect(await runParley(['migrate'], folder)).toMatchObject({
      code: 0,
      stdout: 'the schema was up to date\n',
    });
    const doctor = await runParley(['doctor'], folder);
    expect(doctor.stdout).toMatch(/ok +database +PostgreSQL 18.*in use by the server \(process/);
    expect(doctor.stdout).toContain('Nothing to mend.');
    expect(doctor.code).toBe(0);
  });

  it('survives the death of its database', async () => {
    const server = start();
    const address = await server.address();
    const pid = await postmaster();
    process.kill(pid, 'SIGKILL');
    await eventually('another database process', async () => {
      const now = await postmaster();
      return now !== pid && now !== 0;
    });
    await eventually('ready again', () => isReady(address));
    expect(server.child.exitCode).toBeNull();
    expect((await server.signal('SIGTERM')).code).toBe(0);
  });

  it('takes its database along when it is killed, and starts again', async () => {
    const first = start();
    await first.address();
    const pid = await postmaster();
    await first.signal('SIGKILL');
    await eventually('the database ends', async () => !(await isRunning(pid)));
    expect(await isReady(await start().address())).toBe(true);
  });

  it('takes over a database that was left running', async () => {
    const first = start();
    await first.address();
    const pid = await postmaster();
    process.kill(watchdogOf(pid), 'SIGKILL');
    await first.signal('SIGKILL');
    expect(await isRunning(pid)).toBe(true);
    const second = start();
    expect(await isReady(await second.address())).toBe(true);
    expect(await isRunning(pid)).toBe(false);
    expect(second.output).toContain('left behind');
  });

  it('starts when server and database were killed together', async () => {
    const first = start();
    await first.address();
    const pid = await postmaster();
    first.child.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await first.result();
    expect(await isReady(await start().address())).toBe(true);
  });

  it('starts after a first start that was killed half way', async () => {
    const first = start();
    await eventually('a cluster in the making', async () =>
      (await readdir(folder)).some((name) => name.startsWith('postgres.new-')),
    );
    await first.signal('SIGKILL');
    expect(await isReady(await start().address())).toBe(true);
    expect((await readdir(folder)).filter((name) => name.includes('.new-'))).toEqual([]);
  });

  it('ends at once at the second signal', async () => {
    const server = start();
    await server.address();
    server.child.kill('SIGINT');
    server.child.kill('SIGTERM');
    const { code } = await server.result();
    expect([0, 130]).toContain(code);
  });
});

describe('parley start explains', () => {
  it('a taken port', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    const { port } = blocker.address() as { port: number };
    const listeners = JSON.stringify([{ port, bind: ['127.0.0.1'] }]);
    const { code, stderr } = await runParley(['start'], folder, { PARLEY_LISTENERS: listeners });
    blocker.close();
    expect(code).toBe(69);
    expect(stderr).toBe(
      `Another program has taken port ${port} on 127.0.0.1. Stop it, or set another port in ` +
        'listeners ("ss -ltnp" or "lsof -i" names the program).\n',
    );
    expect(await readPostmasterFile(join(folder, 'postgres'))).toBeUndefined();
  });

  it('a wrong configuration, before it touches anything', async () => {
    await writeFile(join(folder, 'c.yaml'), 'server_name: "not a name"\nlog: { levle: info }\n');
    const { code, stderr } = await runParley(['start', '--config', 'c.yaml'], folder);
    expect(code).toBe(78);
    expect(stderr).toContain('server_name is "not a name", expected a server name');
    expect(stderr).toContain('log.levle is not a key of the configuration; did you mean level?');
    expect(await readdir(folder)).toEqual(['c.yaml']);
  });

  it('a cluster of another PostgreSQL', async () => {
    await start().address();
    await started[0]?.signal('SIGTERM');
    const versionFile = join(folder, 'postgres', 'PG_VERSION');
    const real = await readFile(versionFile, 'utf8');
    await writeFile(versionFile, '15\n');
    const { code, stderr } = await runParley(['start'], folder);
    await writeFile(versionFile, real);
    expect(code).toBe(71);
    expect(stderr).toMatch(/made by PostgreSQL 15, and this release brings PostgreSQL 18/);
    expect(await isReady(await start().address())).toBe(true);
  });

  it('a database that is not there', async () => {
    const { code, stderr } = await runParley(['start'], folder, {
      PARLEY_DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x',
    });
    expect(code).toBe(69);
    expect(stderr).toContain('The database at postgres://u:***@127.0.0.1:1/x cannot be used');
    expect(stderr).not.toContain('hunter2');
  });

  it('a Node that is too old', () => {
    const code =
      "Object.defineProperty(process.versions, 'node', { value: '18.20.0' });" +
      "import('./dist/homeserver/cli/parley.js');";
    const { status, stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
    expect(status).toBe(71);
    expect(stderr).toMatch(/^Parley needs Node 20\.19 or later, and this is Node 18\.20\.0/);
  });

  it('an unknown command or option', async () => {
    expect(await runParley(['strat'], folder)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('Did you mean "start"?'),
    });
    expect(await runParley(['start', '--prot', '1'], folder)).toMatchObject({ code: 64 });
  });
});

describe('parley', () => {
  it('lists its commands, and prints the sample configuration', async () => {
    expect((await runParley(['--help'], folder)).stdout).toContain('parley doctor');
    expect((await runParley(['generate-config'], folder)).stdout).toBe(
      await readFile('config.sample.yaml', 'utf8'),
    );
  });
});
