/**
 * Several processes on one machine: this one opens the database and keeps the others running, which
 * are the server. They share its listeners, and find each other as processes of several machines do,
 * by sockets of their own. It loads nothing of the server itself.
 */
import cluster, { type Worker } from 'node:cluster';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChildMessage, ChildPlace, ServedAddress } from './child-place.ts';
import { childVariable } from './config/environment.ts';
import type { Config } from './config/schema.ts';
import type { Logger } from './ops/logger.ts';
import type { RunningServer } from './ops/running-server.ts';
import { StartFailure } from './ops/start-failure.ts';
import { openDatabase } from './storage/open-database.ts';

/** Pauses before a child that has died is started again: none the first time. */
const restartPausesMs = [0, 500, 1_000, 2_000, 5_000];
/** One that has served so long is as good as new. */
const provenMs = 60_000;
/** Beyond `limits.stop_timeout_ms`: for handing over, and for what is written last. */
const extraStopMs = 15_000;

export const processCount = ({ processes }: Config): number =>
  processes === 'auto' ? Math.max(1, availableParallelism() - 1) : processes;

/** Resolves when every child serves. @throws {StartFailure} when one of them cannot */
export const startChildren = async (config: Config, logger: Logger): Promise<RunningServer> => {
  const count = processCount(config);
  const opened = await openDatabase(config, logger, { processes: count });
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'parley-'));
  const maxStopMs = config.limits.stop_timeout_ms + extraStopMs;
  const children = Array.from(
    { length: count },
    (_, nth) =>
      new Child({ number: nth + 1, socket: join(folder, `${nth + 1}.sock`) }, logger, maxStopMs),
  );
  const stop = async (): Promise<void> => {
    // Who leads goes last, so that the others have somebody to write for them until they are done.
    await Promise.all(children.filter(({ leads }) => !leads).map((child) => child.stop()));
    await Promise.all(children.map((child) => child.stop()));
    await opened.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    // The first alone, because it makes what a new server needs once.
    const [first, ...others] = children as [Child, ...Child[]];
    const running = await first.start();
    await Promise.all(others.map((child) => child.start()));
    // Children restarted for ever are better than none.
    const failed = new Promise<never>(() => undefined);
    return { ...running, failed, stop, renew: () => renewInTurn(children, logger) };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** One after the other, so that the rest serve; ends at the first that does not start any more. */
const renewInTurn = async (children: readonly Child[], logger: Logger): Promise<void> => {
  try {
    for (const child of children) await child.renew();
    logger.info('every process of the server has been started anew');
  } catch (error) {
    const reason = (error as Error).message;
    logger.error({ reason }, 'a process does not start any more; the rest go on as they are');
  }
};

/** One run of a child. */
interface Run {
  /** Rejects when it ends before. */
  readonly served: Promise<ServedAddress>;
  readonly ended: Promise<{ code: number | null; signal: string | null; livedMs: number }>;
}

/** A place that always has a process, for as long as the server runs. */
class Child {
  readonly #place: ChildPlace;
  readonly #logger: Logger;
  readonly #maxStopMs: number;
  readonly #stopping = new AbortController();
  #worker: Worker | undefined;
  #kept: Promise<void> | undefined;
  #onRenewed: ((run: Run) => void) | undefined;
  #leads = false;

  constructor(place: ChildPlace, logger: Logger, maxStopMs: number) {
    this.#place = place;
    this.#logger = logger;
    this.#maxStopMs = maxStopMs;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Resolves when it serves; from then on it is kept running. */
  async start(): Promise<ServedAddress> {
    const first = this.#run();
    const address = await first.served;
    this.#kept = this.#keep(first);
    return address;
  }

  /** Resolves when it has ended, and serves again. @throws where it does not */
  async renew(): Promise<void> {
    if (this.#worker === undefined || this.#stopping.signal.aborted) return;
    const renewed = new Promise<Run>((resolve) => {
      this.#onRenewed = resolve;
    });
    this.#end(this.#worker);
    await (await renewed).served;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const worker = this.#worker;
    if (worker !== undefined) {
      const exit = new Promise((resolve) => void worker.once('exit', resolve));
      this.#end(worker);
      await exit;
    }
    await this.#kept;
  }

  async #keep(first: Run): Promise<void> {
    const { signal } = this.#stopping;
    for (let run = first, deaths = 0; ; ) {
      const { livedMs, ...how } = await run.ended;
      if (signal.aborted) return;
      const onRenewed = this.#onRenewed;
      this.#onRenewed = undefined;
      if (onRenewed === undefined) {
        if (livedMs > provenMs) deaths = 0;
        const pauseMs = restartPausesMs[Math.min(deaths, restartPausesMs.length - 1)] as number;
        deaths += 1;
        const { number } = this.#place;
        this.#logger.error({ child: number, ...how, pauseMs }, 'a process of the server has ended');
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
      }
      run = this.#run();
      run.served.catch(({ message }: Error) => {
        if (!signal.aborted) this.#logger.error({ reason: message }, 'a process does not start');
      });
      onRenewed?.(run);
    }
  }

  #run(): Run {
    const { number } = this.#place;
    const worker = cluster.fork({ [childVariable]: JSON.stringify(this.#place) });
    this.#worker = worker;
    const startedMs = performance.now();
    let failure: Error = new Error(`Process ${number} of the server ended before it served`);
    const ended: Run['ended'] = new Promise((resolve) => {
      worker.once('exit', (code, signal) => {
        this.#worker = undefined;
        this.#leads = false;
        resolve({ code, signal, livedMs: performance.now() - startedMs });
      });
    });
    const served = new Promise<ServedAddress>((resolve, reject) => {
      worker.on('message', (message: ChildMessage) => {
        if ('leads' in message) this.#leads = message.leads;
        else if ('running' in message) {
          this.#logger.info(
            { child: number, pid: worker.process.pid },
            'a process of the server runs',
          );
          resolve(message.running);
        } else {
          failure = new StartFailure(message.failure.kind, message.failure.message);
        }
      });
      void ended.then(() => reject(failure));
    });
    return { served, ended };
  }

  /** Asks it to end in order, and sees to it that it ends. */
  #end({ process: child }: Worker): void {
    const cut = setTimeout(() => child.kill('SIGKILL'), this.#maxStopMs);
    child.once('exit', () => clearTimeout(cut));
    child.kill('SIGTERM');
  }
}
