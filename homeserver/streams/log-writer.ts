/**
 * Writes the log. Writes waiting from all rooms and users are committed together (group commit), one
 * transaction at a time, and their callers are answered after the commit. All of it goes through the
 * one session that holds the log's lock (storage/log-session.ts): the position is read again only
 * after the session before has ended for good, across lost connections and other processes.
 */
import type { Logger } from 'pino';
import {
  LogHeld,
  type LogSession,
  type LogSessionOptions,
  type LogSessions,
  logSessionDefaults,
} from '../storage/log-session.ts';
import { isOutcomeUnknown, type SectionRows, writeBatch } from './log-batch.ts';

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
  /** What in memory it builds on; what is written of no room builds on nothing. */
  readonly ground?: LogGround;
  /** Where it was made, if not in this process. */
  readonly origin?: LogOrigin;
}

/**
 * A room as one process has it in memory. Where a write of it failed, those that build on the same
 * memory fail as well.
 */
export interface LogGround {
  readonly roomId: string;
  /** No two rooms in the memory of one process have the same, nor one that was loaded twice. */
  readonly load: number;
}

/** As it travels: with the epoch by which the process owned the room when it asked. */
export interface AskedGround extends LogGround {
  readonly epoch: number;
}

let loads = 0;

/** A ground of its own: what is built on it fails with nothing else. */
export const freshGround = (roomId: string): LogGround => ({ roomId, load: ++loads });

/** A write of another process: who made it, and what it is called there. */
export interface LogOrigin {
  readonly member: string;
  readonly id: number;
}

/** A write was not made, or its outcome is unknown; the caller may try again. */
export class LogWriteFailed extends Error {
  override readonly name: string = 'LogWriteFailed';
}

/** It is certain that nothing was written: what it was built on is gone, or the owner another one. */
export class LogWriteRefused extends LogWriteFailed {
  override readonly name = 'LogWriteRefused';
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
  /** Whether this process owns a room; asked just before it is written. Undefined: all of them. */
  readonly owns?: ((roomId: string) => boolean) | undefined;
  /** Another server has taken the log: this one can write no more, and what it remembers is old. */
  readonly onSuperseded?: ((error: LogHeld) => void) | undefined;
}

/** What is remembered of the log, in the hands of whoever writes it. */
export interface LogMemory {
  /** A committed write, in the order of the log. */
  tell(write: LogWrite): void;
  /** Everything told so far is readable now. */
  advance(position: number): void;
  /** Nothing can be said from memory until the log advances again. */
  lose(): void;
}

export interface LogWriter {
  readonly isOpen: boolean;
  append(write: LogWrite): Promise<void>;
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface SessionWriterParts {
  /** Where another session comes from when one is lost. */
  readonly sessions: Pick<LogSessions, 'open'>;
  readonly session: LogSession;
  /** Told when a session is lost. */
  readonly onLost?: () => void;
  readonly memory: LogMemory;
  readonly logger: Logger;
  readonly options: LogOptions;
}

export class SessionWriter implements LogWriter {
  readonly #memory: LogMemory;
  readonly #logger: Logger;
  readonly #options: LogOptions;
  readonly #maxBatch: number;
  readonly #sessions: Pick<LogSessions, 'open'>;
  readonly #onLost: (() => void) | undefined;
  readonly #heart: NodeJS.Timeout;
  /** Undefined while there is none: nothing is written then. */
  #session: LogSession | undefined;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #committing: Promise<void> | undefined;
  #beatIsDue = false;
  #isWriting = false;
  readonly #waitingForRest: (() => void)[] = [];
  #provenMs = performance.now();

  constructor({ sessions, session, memory, logger, options, onLost }: SessionWriterParts) {
    this.#onLost = onLost;
    this.#sessions = sessions;
    this.#memory = memory;
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

  get isOpen(): boolean {
    return this.#session !== undefined;
  }

  /** When a statement was sent that the session has carried out: it held the lock then. */
  get provenMs(): number {
    return this.#provenMs;
  }

  /** Proves it now. @throws where the session is lost */
  async confirm(): Promise<void> {
    if (this.#session === undefined) throw new LogWriteFailed('The log has no session here');
    const sentMs = performance.now();
    await this.#session.beat();
    this.#provenMs = sentMs;
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

  /** Runs it while nothing is being written: what was has been told by then. */
  atRest(run: () => void): void {
    if (this.#isWriting) this.#waitingForRest.push(run);
    else run();
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
      this.#isWriting = true;
      this.#committing = this.#commit(batch);
      await this.#committing;
      this.#isWriting = false;
      for (const run of this.#waitingForRest.splice(0)) run();
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
      if (this.#session === undefined) await this.#open();
      await this.confirm();
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
      const isOurs = this.#owns(pending.write);
      if (isOurs && pending.write.stillValid?.() !== false) return true;
      const reason = isOurs ? 'An earlier write in this room failed' : 'The room has another owner';
      this.#fail(pending, new LogWriteRefused(reason));
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
      this.#provenMs = startedMs;
    } catch (error) {
      observe('failed');
      await this.#recover(live, error as Error);
      return;
    }
    for (const { write } of live) {
      try {
        write.committed?.();
        this.#memory.tell(write);
      } catch (error) {
        this.#logger.error({ err: error }, 'memory could not follow a committed write');
        this.#memory.lose();
      }
    }
    this.#memory.advance(highest);
    for (const { resolve } of live) resolve();
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

  /** For others' writes, `stillValid` tells. */
  #owns({ ground, origin }: LogWrite): boolean {
    const { owns } = this.#options;
    return (
      owns === undefined || ground === undefined || origin !== undefined || owns(ground.roomId)
    );
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
    this.#memory.lose();
    this.#onLost?.();
  }

  async #open(): Promise<LogSession> {
    let session: LogSession | undefined;
    try {
      session = await this.#sessions.open();
      const position = await session.position();
      this.#keep(session);
      this.#logger.info({ position }, 'the log is written again');
      this.#memory.advance(position);
      return session;
    } catch (error) {
      session?.abandon();
      this.#session = undefined;
      if (error instanceof LogHeld) this.#options.onSuperseded?.(error);
      throw error;
    }
  }
}
