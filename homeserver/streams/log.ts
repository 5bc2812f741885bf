/**
 * The log: the one place where anything observable is written, and where every memory of it is kept
 * in line. Positions become visible in rising order, and `position` never has an unfinished write
 * below it: one writer makes all writes, one transaction at a time (streams/log-writer.ts).
 */
import type { Logger } from 'pino';
import type { Database } from '../storage/database.ts';
import { LogSessions } from '../storage/log-session.ts';
import type { LogSection } from './log-batch.ts';
import { type AskPosition, LogFreshness } from './log-freshness.ts';
import {
  type LogMemory,
  type LogOptions,
  type LogWrite,
  type LogWriter,
  SessionWriter,
} from './log-writer.ts';

export { filledIn, type LogSection, rowsOf, type SectionRows } from './log-batch.ts';
export {
  freshGround,
  type LogGround,
  type LogMemory,
  type LogOptions,
  type LogWrite,
  LogWriteFailed,
  LogWriteRefused,
  type LogWriter,
} from './log-writer.ts';

/** Where the log is while its session is lost. */
export const unknownPosition = Number.MAX_SAFE_INTEGER;

/** What is remembered of the log. */
export interface LogFollower {
  /**
   * Up to `position` nothing can be said from memory any more. Called with `unknownPosition` when the
   * session is lost, and, because what is loaded from then on may be older than what turns out to be
   * committed, again with the position once another session has found it.
   */
  reset(position: number): void;
}

/** What the log has advanced by. */
export interface LogBatch {
  readonly after: number;
  readonly position: number;
  readonly writes: readonly LogWrite[];
}

/** Gets the rows of one write, and whether this process has made it. */
export type RowReader<Row> = (rows: readonly Row[], isOurs: boolean) => void;

const noReaders: readonly RowReader<unknown>[] = [];

export class Log implements LogMemory {
  readonly #listeners = new Set<(position: number) => void>();
  readonly #followers: LogFollower[] = [];
  readonly #readers = new Map<LogSection<unknown>, RowReader<unknown>[]>();
  readonly #batchListeners: ((batch: LogBatch) => void)[] = [];
  /** What has been told since the log advanced, where somebody wants it. */
  #told: LogWrite[] | undefined;
  #writer: LogWriter | undefined;
  #freshness: LogFreshness | undefined;
  #position: number;
  /** Followers have been reset and not been told since where the log is. */
  #isMemoryLost = false;

  private constructor(position: number) {
    this.#position = position;
  }

  /** @throws {LogHeld} when another server writes this log */
  static async open(database: Database, logger: Logger, options: LogOptions = {}): Promise<Log> {
    const sessions = new LogSessions(database, logger, options.session);
    const session = await sessions.open();
    const log = new Log(await session.position());
    log.#writer = new SessionWriter({ sessions, session, memory: log, logger, options });
    return log;
  }

  /**
   * A log that another process writes: this one follows it, from where it is now.
   * @param askPosition where the log is for its writer; undefined at once while that is this process
   */
  static following(
    position: number,
    writerOf: (memory: LogMemory) => LogWriter,
    askPosition?: AskPosition,
  ): Log {
    const log = new Log(position);
    log.#writer = writerOf(log);
    if (askPosition !== undefined) log.#freshness = new LogFreshness(log, askPosition);
    return log;
  }

  /** Everything at or below this position is committed and readable. */
  get position(): number {
    return this.#position;
  }

  /** Whether this process may write the log now: false from the loss of its session to the next. */
  get isOpen(): boolean {
    return this.#writer?.isOpen === true;
  }

  /**
   * Resolves once memory has everything that any process had been answered before this was called;
   * undefined where it has already, as it always does in the process that writes the log.
   * @throws {LogWriteFailed} when that cannot be found out for seconds
   */
  caughtUp(): Promise<void> | undefined {
    return this.#freshness?.caughtUp();
  }

  /** Resolves once memory has followed so far; undefined where it has already. */
  reached(position: number): Promise<void> | undefined {
    return this.#freshness?.reached(position);
  }

  /** Called after every commit with the new position, once memory is in line with it. */
  onAdvance(listener: (position: number) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Every memory of what is in the log is registered here by whoever builds it. What does not come
   * from the log (who types, who is online) stays as it is.
   */
  follow(follower: LogFollower): void {
    this.#followers.push(follower);
  }

  /**
   * How memory is brought in line with what is committed: `reader` gets the rows of a section, those
   * of one write at a time, in the order of the log, before the log advances over them and before
   * whoever wrote them is answered.
   */
  onRows<Row>(section: LogSection<Row>, reader: RowReader<Row>): void {
    const key = section as LogSection<unknown>;
    const readers = this.#readers.get(key) ?? [];
    readers.push(reader as RowReader<unknown>);
    this.#readers.set(key, readers);
  }

  /**
   * Every batch, with its rows, for those who follow the log in other processes. Nothing is gathered
   * while nobody listens.
   */
  onBatch(listener: (batch: LogBatch) => void): void {
    this.#told ??= [];
    this.#batchListeners.push(listener);
  }

  /** Resolves once the write is durable. @throws {LogWriteFailed} */
  append(write: LogWrite): Promise<void> {
    return (this.#writer as LogWriter).append(write);
  }

  /** Resolves when the batch being written now, if there is one, is committed or has failed. */
  async settled(): Promise<void> {
    await this.#writer?.settled();
  }

  /** Waits for everything appended so far, and lets others write the log. */
  async close(): Promise<void> {
    await this.#writer?.close();
  }

  tell(write: LogWrite): void {
    const isOurs = write.origin === undefined;
    this.#told?.push(write);
    for (const { section, rows } of write.parts) {
      for (const reader of this.#readers.get(section) ?? noReaders) reader(rows, isOurs);
    }
  }

  advance(position: number): void {
    const after = this.#position;
    if (position > this.#position || this.#isMemoryLost) this.#moveTo(position);
    if (this.#told === undefined || (after === this.#position && this.#told.length === 0)) return;
    const writes = this.#told;
    this.#told = [];
    const batch = { after, position: this.#position, writes };
    for (const listener of this.#batchListeners) listener(batch);
  }

  #moveTo(position: number): void {
    this.#position = Math.max(position, this.#position);
    if (this.#isMemoryLost) {
      this.#isMemoryLost = false;
      for (const follower of this.#followers) follower.reset(this.#position);
    }
    for (const listener of this.#listeners) listener(this.#position);
  }

  lose(): void {
    this.#isMemoryLost = true;
    for (const follower of this.#followers) follower.reset(unknownPosition);
  }
}
