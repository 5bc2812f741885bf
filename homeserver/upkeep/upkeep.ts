/**
 * Deletes what is of no use any more: one clean-up after another, a small step at a time, at a rate that
 * leaves the database to people. Nothing but what is left says how far it has come: a round that was cut
 * short begins anew.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../storage/database.ts';
import type { WalkCursor } from '../storage/walk.ts';
import type { UpkeepTask } from './upkeep-task.ts';

export interface UpkeepDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tasks: readonly UpkeepTask[];
  /** Told of every step. */
  readonly observe?: (task: string, deleted: number, seconds: number) => void;
}

/** Of the time of one connection, the part that upkeep takes at most. */
const SHARE = 1 / 20;
const MIN_PAUSE_MS = 100;
/** While nothing is to be done, or others wait for the database. */
const IDLE_PAUSE_MS = 5_000;
/** A step that takes longer is followed by smaller ones, and one that takes far less by larger ones. */
const STEP_MS = 20;
const MIN_ROWS = 10;
const STATEMENT_TIMEOUT_MS = 2_000;
/** After a failure a task waits for so long. */
const RETRY_MS = 60_000;

interface TaskState {
  readonly task: UpkeepTask;
  /** Where its round is; undefined between rounds, and before the first step of one. */
  cursor: WalkCursor | undefined;
  dueMs: number;
  rows: number;
}

export interface StepReport {
  readonly task: string;
  readonly deleted: number;
  readonly tookMs: number;
}

export class Upkeep {
  readonly #deps: UpkeepDeps;
  readonly #states: TaskState[];
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> = Promise.resolve();
  #stopped = true;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
    this.#states = deps.tasks.map((task) => ({
      task,
      cursor: undefined,
      dueMs: 0,
      rows: task.maxRows,
    }));
  }

  start(): void {
    this.#stopped = false;
    this.#next(IDLE_PAUSE_MS);
  }

  /** Resolves when the step under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#working;
  }

  /**
   * The next step of whatever is due, of several the one that has waited longest. Undefined where
   * nothing is, or another process is at it.
   */
  async step(): Promise<StepReport | undefined> {
    const { clock, logger, observe } = this.#deps;
    const nowMs = clock.nowMs();
    const due = this.#states.filter(({ dueMs }) => dueMs <= nowMs);
    const state = due.sort((a, b) => a.dueMs - b.dueMs)[0];
    if (state === undefined) return undefined;
    const { task } = state;
    const startedMs = performance.now();
    try {
      const done = await this.#inTurn((tx) =>
        task.step(tx, { nowMs, limit: state.rows, after: state.cursor }),
      );
      if (done === undefined) return undefined;
      const tookMs = performance.now() - startedMs;
      state.cursor = done.next;
      // Behind the others that are due: none waits for the whole round of another.
      state.dueMs = done.next === undefined ? nowMs + task.everyMs : nowMs;
      this.#fit(state, tookMs);
      if (done.next !== undefined)
        this.#states.push(...this.#states.splice(this.#states.indexOf(state), 1));
      observe?.(task.name, done.deleted, tookMs / 1000);
      return { task: task.name, deleted: done.deleted, tookMs };
    } catch (error) {
      logger.warn({ err: error, task: task.name }, 'a clean-up failed; it is tried again');
      state.rows = Math.max(MIN_ROWS, Math.floor(state.rows / 2));
      state.dueMs = nowMs + RETRY_MS;
      return { task: task.name, deleted: 0, tookMs: performance.now() - startedMs };
    }
  }

  /** Everything that is due now, without pauses. For tests. */
  async runDue(): Promise<StepReport[]> {
    const reports: StepReport[] = [];
    for (;;) {
      const report = await this.step();
      if (report === undefined) return reports;
      reports.push(report);
    }
  }

  /**
   * One process at a time works, whichever comes first: the lock is that of the transaction, so that it
   * ends with its holder. Two that take turns do rounds of their own, which costs but harms nothing.
   */
  #inTurn<T>(work: (tx: Tx) => Promise<T>): Promise<T | undefined> {
    return this.#deps.database.transaction(async (tx) => {
      const { rows } = await tx.query<{ taken: boolean }>({
        text: `SELECT pg_try_advisory_xact_lock(hashtextextended('upkeep', 20)) AS taken,
          set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', true)`,
      });
      return rows[0]?.taken === true ? work(tx) : undefined;
    });
  }

  #fit(state: TaskState, tookMs: number): void {
    if (tookMs > STEP_MS) state.rows = Math.max(MIN_ROWS, Math.floor(state.rows / 2));
    else if (tookMs < STEP_MS / 4) state.rows = Math.min(state.task.maxRows, state.rows * 2);
  }

  #next(pauseMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#working = this.#turn().then((pause) => this.#next(pause));
    }, pauseMs).unref();
  }

  async #turn(): Promise<number> {
    // Whoever waits for a connection is somebody who waits for an answer.
    if (this.#deps.database.pool.waitingCount > 0) return IDLE_PAUSE_MS;
    try {
      const report = await this.step();
      if (report === undefined) return IDLE_PAUSE_MS;
      return Math.max(MIN_PAUSE_MS, report.tookMs * (1 / SHARE - 1));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'upkeep failed');
      return IDLE_PAUSE_MS;
    }
  }
}
