/**
 * Several processes on one machine: this one opens the database and keeps the others running, which
 * are the server. They share its listeners, and find each other as processes of several machines do,
 * by sockets of their own.
 */
import cluster, { type Worker } from 'node:cluster';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { childVariable } from './config/environment.ts';
import type { Config } from './config/schema.ts';
import type { Logger } from './ops/logger.ts';
import type { RunningServer } from './ops/running-server.ts';
import { StartFailure, type StartFailureKind } from './ops/start-failure.ts';
import { openDatabase } from './storage/open-database.ts';

/** What a child is told of its place. */
export interface ChildPlace {
  /** Counts from 1; a child that takes a dead one's place has its number. */
  readonly number: number;
  /** Its socket for the other processes of this machine. */
  readonly socket: string;
}

/** What a child says once it serves, or that it never will. */
type ChildMessage =
  | { readonly running: Pick<RunningServer, 'baseUrl' | 'registrationToken'> }
  | { readonly failure: { readonly message: string; readonly kind: StartFailureKind } };

/** A child that dies is started again after so long, the longer the more often. */
const restartDelaysMs = [0, 500, 1_000, 2_000, 5_000];
/** One that has served so long is as good as new. */
const provenMs = 60_000;

export const processCount = ({ processes }: Config): number =>
  processes === 'auto' ? Math.max(1, availableParallelism() - 1) : processes;

/** Undefined in a process that somebody else has started. */
export const childPlace = (env: NodeJS.ProcessEnv = process.env): ChildPlace | undefined => {
  const text = env[childVariable];
  return text === undefined ? undefined : (JSON.parse(text) as ChildPlace);
};

/** To be called by a child. */
export const tellParent = (message: ChildMessage): void => {
  process.send?.(message);
};

/** Resolves when every child serves. @throws {StartFailure} when one of them cannot */
export const startChildren = async (config: Config, logger: Logger): Promise<RunningServer> => {
  const count = processCount(config);
  const opened = await openDatabase(config, logger, { processes: count });
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'parley-'));
  const children = new Children(folder, logger);
  const stop = async (): Promise<void> => {
    await children.stop();
    await opened.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    // The first alone, because it makes what a new server needs once.
    const running = await children.start(1);
    await Promise.all(Array.from({ length: count - 1 }, (_, nth) => children.start(nth + 2)));
    return { ...running, failed: children.failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

class Children {
  readonly failed: Promise<Error>;
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #workers = new Map<number, Worker>();
  #fail: (error: Error) => void = () => undefined;
  #isStopping = false;

  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /** Resolves when it serves; from then on it is kept running. */
  start(number: number): Promise<Pick<RunningServer, 'baseUrl' | 'registrationToken'>> {
    return new Promise((resolve, reject) => {
      this.#fork(number, 0, resolve, reject);
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const exits = [...this.#workers.values()].map(
      (worker) => new Promise<void>((resolve) => void worker.once('exit', () => resolve())),
    );
    for (const { process: child } of this.#workers.values()) child.kill('SIGTERM');
    await Promise.all(exits);
  }

  #fork(
    number: number,
    deaths: number,
    onRunning: (running: Pick<RunningServer, 'baseUrl' | 'registrationToken'>) => void,
    onFailure: (error: Error) => void,
  ): void {
    const place: ChildPlace = { number, socket: join(this.#folder, `${number}.sock`) };
    const worker = cluster.fork({ [childVariable]: JSON.stringify(place) });
    this.#workers.set(number, worker);
    const startedMs = performance.now();
    let failure: Error | undefined;
    worker.on('message', (message: ChildMessage) => {
      if ('running' in message) onRunning(message.running);
      else {
        failure = new StartFailure(message.failure.kind, message.failure.message);
      }
    });
    worker.once('exit', (code, signal) => {
      this.#workers.delete(number);
      if (this.#isStopping) {
        onFailure(new Error('The server stops'));
        return;
      }
      this.#logger.error({ child: number, code, signal }, 'a process of the server has ended');
      if (failure !== undefined) {
        onFailure(failure);
        this.#fail(failure);
        return;
      }
      const livedMs = performance.now() - startedMs;
      const again = livedMs > provenMs ? 0 : deaths + 1;
      const delay = restartDelaysMs[Math.min(again, restartDelaysMs.length - 1)];
      setTimeout(() => {
        if (!this.#isStopping) this.#fork(number, again, onRunning, onFailure);
      }, delay).unref();
    });
  }
}
