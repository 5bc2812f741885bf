/** Starts the built server as a person would: its command line, a configuration file, a data folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { HttpConnection } from './http-connection.ts';

/** Beside this program in the built tree. */
const PARLEY = fileURLToPath(new URL('../../homeserver/cli/parley.js', import.meta.url));
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

export interface ServerOptions {
  /** Holds the configuration, the log and the data; must exist. */
  readonly folder: string;
  /** Set to write a processor profile there when the server stops. */
  readonly profileDir: string | undefined;
}

export interface RunningServer {
  readonly url: URL;
  readonly pid: number;
  /** From the start of the process to the first answer. */
  readonly startedInMs: number;
  readonly logFile: string;
  /** Stops it and resolves with the profiles it wrote. */
  stop(): Promise<string[]>;
}

/** @throws with the end of the server's log when it does not come up */
export const startServer = async ({
  folder,
  profileDir,
}: ServerOptions): Promise<RunningServer> => {
  const port = await freePort();
  const url = new URL(`http://127.0.0.1:${port}`);
  const configFile = join(folder, 'config.yaml');
  // JSON is YAML as well.
  const config = {
    server_name: 'bench.localhost',
    data_dir: join(folder, 'data'),
    listeners: [{ port, bind: '127.0.0.1' }],
    registration: { enabled: true, require_token: false },
    rate_limits: { enabled: false },
    log: { level: 'warn' },
  };
  await writeFile(configFile, JSON.stringify(config, null, 2));
  if (profileDir !== undefined) await mkdir(profileDir, { recursive: true });

  const logFile = join(folder, 'server.log');
  const log = await open(logFile, 'w');
  const profiling = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...profiling, PARLEY, 'start', '--config', configFile], {
    cwd: folder,
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  const exited = once(child, 'exit');
  // Should the load program end in a way it did not foresee, the server does not stay behind.
  const endWithParent = () => void child.kill();
  process.once('exit', endWithParent);
  try {
    await untilAnswering(child, url);
  } catch (error) {
    child.kill('SIGKILL');
    const output = (await readFile(logFile, 'utf8')).slice(-3000);
    throw new Error(`the server did not start (${(error as Error).message}):\n${output}`);
  }
  return {
    url,
    pid: child.pid!,
    startedInMs: performance.now() - startedMs,
    logFile,
    stop: async () => {
      process.off('exit', endWithParent);
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
      if (profileDir === undefined) return [];
      return (await readdir(profileDir)).map((name) => join(profileDir, name));
    },
  };
};

const untilAnswering = async (child: ChildProcess, url: URL): Promise<void> => {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}`);
    if (performance.now() > deadlineMs) throw new Error('no answer within 30 seconds');
    const http = new HttpConnection(url);
    const answer = await http
      .request({ method: 'GET', path: '/_matrix/client/versions' })
      .catch(() => undefined);
    http.close();
    if (answer?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
