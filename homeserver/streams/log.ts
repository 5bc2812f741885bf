/**
 * The log: the one place where anything observable is written. Writes waiting from all rooms and
 * users are committed together (group commit), one transaction at a time, and their callers are
 * answered after the commit. Because a single transaction is in flight, positions become visible in
 * rising order and `position` never has an unfinished write below it. That holds across lost
 * connections and other processes because all of it goes through the one session that holds the
 * log's lock (storage/log-session.ts): the position is read again only after the session before has
 * ended for good.
 */
import type { Logger } from 'pino';
import type { Database } from '../storage/database.ts';
import {
  LogHeld,
  type LogSession,
  type LogSessionOptions,
  LogSessions,
  logSessionDefaults,
} from '../storage/log-session.ts';
import { isOutcomeUnknown, type LogSection, type SectionRows, writeBatch } from './log-batch.ts';

export { type LogSection, rowsOf, type SectionRows } from './log-batch.ts';

/** What must be written together or not at all. */
export interface LogWrite {
  readonly parts: readonly SectionRows[];
  /** Asked just before writing: false when what this write builds on has failed meanwhile. */
  readonly stillValid?: () => boolean;
  /**
   * For what only the writer knows; runs after the commit, before anyone hears of it. What memory
   * must learn it learns from the rows: `Log.onRows`.
   */
  readonly committed?: () => void;
  /** Undoes what memory assumed. The outcome in the database may be unknown. */
  readonly failed?: (error: Error) => void;
}

/** A write was not made, or its outcome is unknown; the caller may try again. */
export class LogWriteFailed extends Error {
  override readonly name = 'LogWriteFailed';
}

interface Pending {
  readonly write: LogWrite;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface LogOptions {
  /** Writes committed together at most. */
  readonly maxBatch?: number;
  /** Told of every batch: how many writes it had, how long it took, and whether it was made. */
  readonly observe?:
    | ((writes: number, seconds: number, outcome: 'committed' | 'failed') => void)
    | undefined;
  readonly session?: LogSessionOptions | undefined;
  /** Another server has taken the log: this one can write no more, and what it remembers is old. */
  readonly onSuperseded?: ((error: LogHeld) => void) | undefined;
}

const noReaders: readonly ((rows: readonly unknown[]) => void)[] = [];

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

export class Log {
  readonly #logger: Logger;
  readonly #options: LogOptions;
  readonly #maxBatch: number;
  readonly #sessions: LogSessions;
  readonly #listeners = new Set<(position: number) => void>();
  readonly #followers: LogFollower[] = [];
  readonly #readers = new Map<LogSection<unknown>, ((rows: readonly unknown[]) => void)[]>();
  readonly #heart: NodeJS.Timeout;
  /** Undefined while there is none: nothing is written then. */
  #session: LogSession | undefined;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #committing: Promise<void> | undefined;
  #beatIsDue = false;
  #position: number;
  /** Followers have been reset and not been told since where the log is. */
  #isMemoryLost = false;

  private constructor(
    sessions: LogSessions,
    session: LogSession,
    position: number,
    logger: Logger,
    options: LogOptions,
  ) {
    this.#sessions = sessions;
    this.#position = position;
    this.#logger = logger;
    this.#options = options;
    this.#maxBatch = options.maxBatch ?? 500;
    this.#keep(session);
    const { heartbeatMs = logSessionDefaults.heartbeatMs } = options.session ?? {};
    this.#heart = setInterval(() => {
      this.#beatIsDue = true;
      this.#flushing ??= this.#flush();
    }, heartbeatMs);
    this.#heart.unref();
  }

  /** @throws {LogHeld} when another server writes this log */
  static async open(database: Database, logger: Logger, options: LogOptions = {}): Promise<Log> {
    const sessions = new LogSessions(database, logger, options.session);
    const session = await sessions.open();
    return new Log(sessions, session, await session.position(), logger, options);
  }

  /** Everything at or below this position is committed and readable. */
  get position(): number {
    return this.#position;
  }

  /** Whether this process may write the log now: false from the loss of its session to the next. */
  get isOpen(): boolean {
    return this.#session !== undefined;
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
   * whoever wrote them is answered. Whose write it was makes no difference.
   */
  onRows<Row>(section: LogSection<Row>, reader: (rows: readonly Row[]) => void): void {
    const key = section as LogSection<unknown>;
    const readers = this.#readers.get(key) ?? [];
    readers.push(reader as (rows: readonly unknown[]) => void);
    this.#readers.set(key, readers);
  }

  /** Resolves once the write is durable. @throws {LogWriteFailed} */
  append(write: LogWrite): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ write, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves when the batch being written now, if there is one, is committed or has failed. */
  async settled(): Promise<void> {
    await this.#committing;
  }

  /** Waits for everything appended so far, and lets others write the log. */
  async close(): Promise<void> {
    clearInterval(this.#heart);
    while (this.#flushing !== undefined) await this.#flushing;
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  async #flush(): Promise<void> {
    // Lets requests that are ready in this turn of the event loop join the batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) {
      // A statement is a sign of life.
      this.#beatIsDue = false;
      const batch = this.#pending.splice(0, this.#maxBatch);
      this.#committing = this.#commit(batch);
      await this.#committing;
    }
    if (this.#beatIsDue) await this.#beat();
    this.#committing = undefined;
    this.#flushing = undefined;
    // Whatever came during the beat.
    if (this.#pending.length > 0) this.#flushing = this.#flush();
  }

  /** Finds a lost session out, and opens another, although nobody writes. */
  async #beat(): Promise<void> {
    this.#beatIsDue = false;
    try {
      await (this.#session ?? (await this.#open())).beat();
    } catch (error) {
      this.#logger.error({ err: error }, 'the log cannot be written at present');
      this.#lose();
    }
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    let session: LogSession;
    try {
      // First, because a new session outdates what a write was built on.
      session = this.#session ?? (await this.#open());
    } catch (error) {
      this.#failAll(batch, error as Error);
      return;
    }
    const live = batch.filter((pending) => {
      if (pending.write.stillValid?.() !== false) return true;
      this.#fail(pending, new LogWriteFailed('An earlier write in this room failed'));
      return false;
    });
    if (live.length === 0) return;
    let highest: number;
    const startedMs = performance.now();
    const observe = (outcome: 'committed' | 'failed'): void =>
      this.#options.observe?.(live.length, (performance.now() - startedMs) / 1000, outcome);
    try {
      highest = await writeBatch(
        session.client,
        live.map(({ write }) => write),
      );
      observe('committed');
    } catch (error) {
      observe('failed');
      await this.#recover(live, error as Error);
      return;
    }
    for (const { write } of live) {
      try {
        write.committed?.();
        this.#tell(write);
      } catch (error) {
        this.#logger.error({ err: error }, 'memory could not follow a committed write');
        this.#reset();
      }
    }
    this.#advance(highest);
    for (const { resolve } of live) resolve();
  }

  #tell({ parts }: LogWrite): void {
    for (const { section, rows } of parts) {
      for (const reader of this.#readers.get(section) ?? noReaders) reader(rows);
    }
  }

  /**
   * After a failed batch: a statement the database refused has changed nothing, so each write is
   * tried alone and only the guilty one fails. A lost or frozen session, or a cancelled statement,
   * leaves the outcome unknown, so all of them fail and memory is dropped.
   */
  async #recover(batch: readonly Pending[], error: Error): Promise<void> {
    const refused = 'severity' in error && !isOutcomeUnknown(error);
    if (refused && batch.length > 1) {
      this.#logger.warn({ err: error, writes: batch.length }, 'log batch refused: writing singly');
      for (const pending of batch) await this.#commit([pending]);
      return;
    }
    this.#failAll(batch, error);
    if (refused) return;
    // Nothing may be appended on top of memory that might be wrong: queued writes fail as well.
    this.#failAll(this.#pending.splice(0), error);
    this.#lose();
    await this.#open().catch((cause) => {
      this.#logger.warn({ err: cause }, 'log position unknown until the database returns');
    });
  }

  #failAll(batch: readonly Pending[], error: Error): void {
    if (batch.length === 0) return;
    this.#logger.error({ err: error, writes: batch.length }, 'log write failed');
    const failure = new LogWriteFailed(`The log could not be written: ${error.message}`, {
      cause: error,
    });
    for (const pending of batch) this.#fail(pending, failure);
  }

  #fail(pending: Pending, error: Error): void {
    pending.write.failed?.(error);
    pending.reject(error);
  }

  #advance(position: number): void {
    if (position <= this.#position && !this.#isMemoryLost) return;
    this.#position = Math.max(position, this.#position);
    if (this.#isMemoryLost) {
      this.#isMemoryLost = false;
      for (const follower of this.#followers) follower.reset(this.#position);
    }
    for (const listener of this.#listeners) listener(this.#position);
  }

  #reset(): void {
    this.#isMemoryLost = true;
    for (const follower of this.#followers) follower.reset(unknownPosition);
  }

  #keep(session: LogSession): void {
    this.#session = session;
    session.onLost((error) => {
      this.#logger.error({ err: error }, 'log session lost');
      if (this.#session === session) this.#lose();
    });
  }

  /** Without a session nothing is known: others may write the log before this one may again. */
  #lose(): void {
    if (this.#session === undefined) return;
    this.#session.abandon();
    this.#session = undefined;
    this.#reset();
  }

  async #open(): Promise<LogSession> {
    let session: LogSession | undefined;
    try {
      session = await this.#sessions.open();
      const position = await session.position();
      this.#keep(session);
      this.#logger.info({ position }, 'the log is written again');
      this.#advance(position);
      return session;
    } catch (error) {
      session?.abandon();
      this.#session = undefined;
      if (error instanceof LogHeld) this.#options.onSuperseded?.(error);
      throw error;
    }
  }
}
