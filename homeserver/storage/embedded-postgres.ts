/**
 * The PostgreSQL that runs in the data folder when no `database.url` is given: made on first start,
 * supervised while we run, stopped after us. It is a session of its own, so that Ctrl-C in a
 * terminal reaches only us and the last writes are made before the database goes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../ops/logger.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { diskFull, requireFreeSpace } from './free-space.ts';
import { findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.ts';
import {
  clusterOwner,
  createCluster,
  programEnvironment,
  requireMajorVersion,
} from './postgres-cluster.ts';
import { postgresSettings, socketPort } from './postgres-settings.ts';
import { choosePostgresUser, type PostgresUser } from './postgres-user.ts';
import { readPostmasterFile, stopLeftoverPostmaster } from './postmaster-file.ts';

/** The superuser of every embedded cluster, and the name of the server's database in it. */
export const embeddedName = 'parley';

export interface EmbeddedPostgresOptions {
  /** The cluster lies in `postgres` below it. The caller holds the folder's lock. */
  readonly dataFolder: string;
  readonly logger: Logger;
  readonly maxConnections: number;
  /** False only for tests: the cluster is lost when the machine crashes. */
  readonly durable?: boolean;
}

/** Where a running cluster listens. */
export interface PostgresAddress {
  /** The folder that holds the socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

const firstStartBytes = 128 * 2 ** 20;
const laterStartBytes = 16 * 2 ** 20;
/** A socket's path may have 103 bytes on every system we run on. */
const maxSocketFolderBytes = 103 - `/.s.PGSQL.${socketPort}.lock`.length;
const restartDelaysMs = [0, 100, 250, 500, 1_000, 2_000, 5_000];
const stopTimeoutMs = 30_000;
const keptLogLines = 20;

/** Ends the database, in order, when standard input closes because we are gone. */
const watchdogScript =
  'read _; [ "$(head -n 1 "$2/postmaster.pid" 2>/dev/null)" = "$1" ] && kill -INT "$1"';

const startWatchdog = (pid: number, cluster: string): ChildProcess => {
  const child = spawn('/bin/sh', ['-c', watchdogScript, 'sh', String(pid), cluster], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => undefined);
  child.stdin?.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return child;
};

const exitOf = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => void child.once('exit', () => resolve()));

/** The folder for the socket: ours, nobody else's to enter, and with a path short enough. */
const makeSocketFolder = async (dataFolder: string, user: PostgresUser): Promise<string> => {
  let folder = join(dataFolder, 'run');
  if (Buffer.byteLength(folder) > maxSocketFolderBytes) {
    folder = await mkdtemp(join(await realpath(tmpdir()), 'parley-'));
  } else {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await user.own(folder);
  return folder;
};

export class EmbeddedPostgres {
  readonly address: PostgresAddress;
  readonly #cluster: string;
  readonly #binaries: PostgresBinaries;
  readonly #user: PostgresUser;
  readonly #options: EmbeddedPostgresOptions;
  readonly #socketFolderIsTemporary: boolean;
  readonly #lastLines: string[] = [];
  #child: ChildProcess | undefined;
  #watchdog: ChildProcess | undefined;
  #stopping = false;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(
    options: EmbeddedPostgresOptions,
    cluster: string,
    socketFolder: string,
    binaries: PostgresBinaries,
    user: PostgresUser,
  ) {
    this.#options = options;
    this.#cluster = cluster;
    this.#binaries = binaries;
    this.#user = user;
    this.#socketFolderIsTemporary = dirname(socketFolder) !== dirname(cluster);
    this.address = { host: socketFolder, port: socketPort, user: embeddedName };
  }

  /** Resolves when connections are taken; throws a `StartFailure` when that cannot be. */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    if (process.platform === 'win32') {
      throw new StartFailure(
        'unsupported',
        'The embedded database needs Linux or macOS. Point database.url at a PostgreSQL server.',
      );
    }
    const dataFolder = await realpath(options.dataFolder);
    const cluster = join(dataFolder, 'postgres');
    const owner = await clusterOwner(cluster);
    await requireFreeSpace(dataFolder, owner === undefined ? firstStartBytes : laterStartBytes);
    const binaries = await findPostgresBinaries(join(dataFolder, 'postgres-programs'));
    const user = await choosePostgresUser(owner, [dataFolder, join(binaries.postgres, '..')]);
    const durable = options.durable ?? true;
    if (owner === undefined) {
      await createCluster(cluster, binaries, user, { superuser: embeddedName, durable });
    } else {
      await requireMajorVersion(cluster, binaries.major);
      if (await stopLeftoverPostmaster(cluster)) {
        options.logger.warn('stopped the database that an earlier run had left behind');
      }
    }
    const socketFolder = await makeSocketFolder(dataFolder, user);
    const server = new EmbeddedPostgres(options, cluster, socketFolder, binaries, user);
    try {
      await server.#launch();
    } catch (error) {
      await server.stop();
      throw error;
    }
    server.#supervision = server.#supervise();
    return server;
  }

  /** The process now running, for tests and for the doctor. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Cuts what sessions are left, writes everything, and resolves when the process has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child !== undefined) {
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGQUIT'), stopTimeoutMs);
      await exitOf(child);
      clearTimeout(timer);
    }
    await this.#supervision;
    this.#watchdog?.kill('SIGKILL');
    if (this.#socketFolderIsTemporary) {
      await rm(this.address.host, { recursive: true, force: true });
    }
  }

  async #launch(): Promise<void> {
    const { maxConnections, durable = true } = this.#options;
    const { command, args, ids } = this.#user.launch(this.#binaries.postgres, [
      '-D',
      this.#cluster,
      ...postgresSettings({ socketFolder: this.address.host, maxConnections, durable }),
    ]);
    this.#lastLines.length = 0;
    // Nobody listens there: the cluster is ours and its server has ended.
    for (const suffix of ['', '.lock']) {
      await rm(join(this.address.host, `.s.PGSQL.${socketPort}${suffix}`), { force: true });
    }
    if (this.#stopping) throw new Error('the database is being stopped');
    const child = spawn(command, args, {
      ...ids,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: programEnvironment(),
    });
    let spawnError: Error | undefined;
    child.on('error', (error) => {
      spawnError = error;
    });
    createInterface({ input: child.stderr }).on('line', (line) => this.#log(line));
    this.#child = child;
    if (child.pid !== undefined) {
      this.#watchdog?.kill('SIGKILL');
      this.#watchdog = startWatchdog(child.pid, this.#cluster);
    }
    for (let waitedMs = 0; ; waitedMs += 10) {
      if (spawnError !== undefined || child.exitCode !== null || child.signalCode !== null) {
        // What it said last may still be in the pipe.
        await sleep(20);
        throw this.#startFailure(spawnError);
      }
      const state = await readPostmasterFile(this.#cluster);
      if (state?.ready && state.pid === child.pid) return;
      if (waitedMs > 0 && waitedMs % 10_000 === 0) {
        this.#options.logger.info('the database is still starting; it may be recovering');
      }
      await sleep(10);
    }
  }

  #startFailure(cause: Error | undefined): StartFailure {
    const said = this.#lastLines.join(' ');
    if (said.includes('No space left on device')) {
      return diskFull(this.#cluster, 'the database could not write there', cause);
    }
    return new StartFailure(
      'unavailable',
      `The embedded database in ${this.#cluster} did not start. PostgreSQL says: ` +
        `${said || (cause?.message ?? 'nothing')}`,
      { cause },
    );
  }

  /** Starts the database again, for as long as it takes, whenever it ends without being asked to. */
  async #supervise(): Promise<void> {
    const { logger } = this.#options;
    for (;;) {
      const child = this.#child;
      if (child !== undefined) await exitOf(child);
      if (this.#stopping) return;
      logger.error(
        { code: child?.exitCode, signal: child?.signalCode },
        'the embedded database ended unexpectedly; starting it again',
      );
      for (let attempt = 0; !this.#stopping; attempt += 1) {
        await sleep(restartDelaysMs[Math.min(attempt, restartDelaysMs.length - 1)]);
        if (this.#stopping) return;
        try {
          await stopLeftoverPostmaster(this.#cluster);
          await this.#launch();
          logger.info('the embedded database is back');
          break;
        } catch (error) {
          if (this.#stopping) return;
          logger.error({ err: error }, 'the embedded database could not be started again');
        }
      }
    }
  }

  #log(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > keptLogLines) this.#lastLines.shift();
    const { logger } = this.#options;
    const [, severity = '', text = line] = /^([A-Z]+[0-9]?): +(.*)$/.exec(line) ?? [];
    const message = `postgres: ${text}`;
    if (severity === 'PANIC') logger.error(message);
    else if (severity === 'WARNING') logger.warn(message);
    else if (severity === 'FATAL' && !this.#stopping) logger.warn(message);
    else logger.debug(message);
  }
}
