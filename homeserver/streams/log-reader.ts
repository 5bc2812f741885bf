/**
 * A reader of the log that keeps an index behind it: its place is stored in the transaction that
 * writes the index, so nothing is indexed twice or left out. It works in small steps with pauses, in
 * the time that this process has left over: it falls behind while everything is busy, and catches up
 * afterwards. Whoever asks the index has it brought up to date first. Of several processes the owner of
 * the reader's name does the work; the row of its place keeps those who ask from doing it twice.
 */
import type { Logger } from 'pino';
import type { Owners } from '../owners.ts';
import type { Database, Tx } from '../storage/database.ts';
import { cursorOf, moveCursor, takeCursor } from '../storage/reader-cursors.ts';
import type { Log } from './log.ts';

export interface LogReaderDeps {
  readonly database: Database;
  readonly log: Log;
  readonly logger: Logger;
  readonly owners: Owners;
}

/**
 * Indexes what there is with `after < position <= upTo`, or the first part of it, and returns the
 * position up to which everything is done: at least one further than `after`.
 */
export type IndexStep = (tx: Tx, after: number, upTo: number) => Promise<number>;

/** After something new, this long passes before it is looked at. */
const settleMs = 1_000;
const shortPauseMs = 100;
/** Further behind than this, the next step does not wait for more to do. */
const behindPositions = 1_000;
/** So much it takes of the time in which the process has nothing else to do. */
const shareOfIdle = 0.25;
/** And so much when there is no such time: a little, and the more the further behind it is. */
const share = { least: 0.01, most: 0.33 };
/** Here it takes the most, so that it comes to the end however busy the process stays. */
const farBehindPositions = 500_000;
/** A process that is idle for less than this is busy: a step with little to do waits for more. */
const busyIdleness = 0.5;
/** Whoever asks waits no longer than this for the index; then it answers with what it has. */
const maxWaitMs = 2_000;
const retryMs = 30_000;

export class LogReader {
  readonly #name: string;
  readonly #deps: LogReaderDeps;
  readonly #step: IndexStep;
  /** Everything up to here is indexed, as far as this process knows. */
  #position: number | undefined;
  #lastLoop = performance.eventLoopUtilization();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(name: string, deps: LogReaderDeps, step: IndexStep) {
    this.#name = name;
    this.#deps = deps;
    this.#step = step;
    deps.log.onAdvance(() => this.#schedule(settleMs));
    deps.owners.onChange(() => this.#schedule(settleMs));
    this.#schedule(settleMs);
  }

  /** Indexes everything committed so far, unless that takes too long. */
  async catchUp(): Promise<void> {
    const target = this.#deps.log.position;
    const startMs = performance.now();
    while (!this.#closed && (this.#position ?? -1) < target) {
      const before = this.#position;
      await this.#work();
      const stuck = before !== undefined && this.#position === before;
      if (stuck || performance.now() - startMs > maxWaitMs) return;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#working;
  }

  #schedule(afterMs: number): void {
    if (this.#timer !== undefined || this.#closed) return;
    if (this.#deps.owners.elsewhere(`reader ${this.#name}`) !== undefined) return;
    this.#timer = setTimeout(() => {
      void this.#background();
    }, afterMs);
    // An index is no reason to keep the process.
    this.#timer.unref();
  }

  async #background(): Promise<void> {
    const startMs = performance.now();
    const idleness = this.#idleness();
    let pauseMs: number;
    try {
      await this.#work();
      const behind = this.#deps.log.position - (this.#position ?? 0);
      pauseMs = pauseAfter({ tookMs: performance.now() - startMs, behind, idleness });
    } catch (error) {
      this.#deps.logger.warn({ err: error, reader: this.#name }, 'an index could not be written');
      pauseMs = retryMs;
    }
    this.#timer = undefined;
    if ((this.#position ?? -1) < this.#deps.log.position) this.#schedule(pauseMs);
  }

  /** Since this was asked last: 0 when the event loop had work all the time, 1 when it had none. */
  #idleness(): number {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#lastLoop);
    this.#lastLoop = now;
    return 1 - utilization;
  }

  /** One step, after the one under way. */
  #work(): Promise<void> {
    const turn = this.#working.then(() => this.#advance());
    this.#working = turn.catch(() => undefined);
    return turn;
  }

  async #advance(): Promise<void> {
    const { database, log } = this.#deps;
    const upTo = log.position;
    if (this.#closed || (this.#position ?? -1) >= upTo) return;
    const reached = await database.transaction(async (tx) => {
      // The index can be made again from the log, so its commits need not wait for the disk, nor hold
      // up those that do: after a crash the place and the index are both a little behind.
      await tx.query({ text: 'SET LOCAL synchronous_commit TO off' });
      const after = await takeCursor(tx, this.#name);
      if (after === undefined || after >= upTo) return after;
      const position = await this.#step(tx, after, upTo);
      await moveCursor(tx, this.#name, position);
      return position;
    });
    this.#position = reached ?? (await cursorOf(database, this.#name));
  }
}

/** How long to leave the machine to others after a step that has left so many positions to do. */
export const pauseAfter = (step: {
  readonly tookMs: number;
  readonly behind: number;
  readonly idleness: number;
}): number => {
  const distance = Math.min(1, step.behind / farBehindPositions);
  const taken = Math.max(share.least, shareOfIdle * step.idleness, share.most * distance ** 2);
  const settles = step.idleness < busyIdleness ? settleMs : shortPauseMs;
  const shortest = step.behind > behindPositions ? 0 : settles;
  return Math.max(shortest, step.tookMs * (1 / taken - 1));
};
