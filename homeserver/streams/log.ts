/**
 * The log: the one place where anything observable is written. Writes waiting from all rooms and
 * users are committed together (group commit), one transaction at a time, and their callers are
 * answered after the commit. Because a single transaction is in flight, positions become visible in
 * rising order and `position` never has an unfinished write below it.
 */
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Database, QueryResult, Statement, Tx } from '../storage/database.ts';

/** A kind of row the log takes: a table (or a family of tables) with its own statement. */
export interface LogSection<Row> {
  readonly name: string;
  /**
   * Writes the rows in the order given, fills in the positions they were given, and returns the
   * highest position it used.
   */
  write(tx: Tx, rows: readonly Row[]): Promise<number>;
  /** False when these rows take a single statement, which is its own transaction. */
  needsTransaction(rows: readonly Row[]): boolean;
}

/** Rows of one section; built by `rowsOf`, which keeps section and row types together. */
export interface SectionRows {
  readonly section: LogSection<unknown>;
  readonly rows: readonly unknown[];
}

export const rowsOf = <Row>(section: LogSection<Row>, rows: readonly Row[]): SectionRows => ({
  section: section as LogSection<unknown>,
  rows,
});

/** What must be written together or not at all. */
export interface LogWrite {
  readonly parts: readonly SectionRows[];
  /** Asked just before writing: false when what this write builds on has failed meanwhile. */
  readonly stillValid?: () => boolean;
  /** Brings memory in line; runs after the commit, before the caller and any reader hear of it. */
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
}

export class Log {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #maxBatch: number;
  readonly #observe: LogOptions['observe'];
  readonly #listeners = new Set<(position: number) => void>();
  readonly #resetListeners = new Set<() => void>();
  #client: pg.PoolClient | undefined;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #committing: Promise<void> | undefined;
  #position: number;

  private constructor(database: Database, logger: Logger, position: number, options: LogOptions) {
    this.#database = database;
    this.#logger = logger;
    this.#position = position;
    this.#maxBatch = options.maxBatch ?? 500;
    this.#observe = options.observe;
  }

  static async open(database: Database, logger: Logger, options: LogOptions = {}): Promise<Log> {
    return new Log(database, logger, await readPosition(database), options);
  }

  /** Everything at or below this position is committed and readable. */
  get position(): number {
    return this.#position;
  }

  /** Called after every commit with the new position, once memory is in line with it. */
  onAdvance(listener: (position: number) => void): void {
    this.#listeners.add(listener);
  }

  /** Called when a commit's outcome was lost with its connection: caches must be dropped. */
  onReset(listener: () => void): void {
    this.#resetListeners.add(listener);
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

  /** Waits for everything appended so far. */
  async close(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
    this.#client?.release();
    this.#client = undefined;
  }

  async #flush(): Promise<void> {
    // Lets requests that are ready in this turn of the event loop join the batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, this.#maxBatch);
      this.#committing = this.#commit(batch);
      await this.#committing;
    }
    this.#committing = undefined;
    this.#flushing = undefined;
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    let client: pg.PoolClient;
    try {
      // First, because a new connection may outdate what a write was built on.
      client = await this.#connection();
    } catch (error) {
      await this.#recover(batch, error as Error);
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
      this.#observe?.(live.length, (performance.now() - startedMs) / 1000, outcome);
    try {
      highest = await this.#write(client, live);
      observe('committed');
    } catch (error) {
      observe('failed');
      await this.#recover(live, error as Error);
      return;
    }
    for (const { write } of live) {
      try {
        write.committed?.();
      } catch (error) {
        this.#logger.error({ err: error }, 'memory could not follow a committed write');
        for (const reset of this.#resetListeners) reset();
      }
    }
    this.#advance(highest);
    for (const { resolve } of live) resolve();
  }

  /**
   * After a failed batch: a statement the database refused has changed nothing, so each write is
   * tried alone and only the guilty one fails. A lost connection leaves the outcome unknown, so all
   * of them fail and memory is dropped.
   */
  async #recover(batch: readonly Pending[], error: Error): Promise<void> {
    const refused = 'severity' in error && !isConnectionLoss(error);
    if (refused && batch.length > 1) {
      this.#logger.warn({ err: error, writes: batch.length }, 'log batch refused: writing singly');
      for (const pending of batch) await this.#commit([pending]);
      return;
    }
    if (!refused) {
      this.#client?.release(error);
      this.#client = undefined;
    }
    const failure = new LogWriteFailed(`The log could not be written: ${error.message}`, {
      cause: error,
    });
    for (const pending of batch) this.#fail(pending, failure);
    this.#logger.error({ err: error, writes: batch.length }, 'log write failed');
    if (!refused) await this.#resynchronise();
  }

  #fail(pending: Pending, error: Error): void {
    pending.write.failed?.(error);
    pending.reject(error);
  }

  async #resynchronise(): Promise<void> {
    // Nothing may be appended on top of memory that might be wrong: queued writes fail first.
    for (const pending of this.#pending.splice(0)) {
      this.#fail(pending, new LogWriteFailed('The database connection was lost'));
    }
    for (const reset of this.#resetListeners) reset();
    try {
      this.#advance(await readPosition(this.#database));
    } catch (error) {
      this.#logger.warn({ err: error }, 'log position unknown until the database returns');
    }
  }

  #advance(position: number): void {
    if (position <= this.#position) return;
    this.#position = position;
    for (const listener of this.#listeners) listener(position);
  }

  async #write(client: pg.PoolClient, batch: readonly Pending[]): Promise<number> {
    const bySection = new Map<LogSection<unknown>, unknown[]>();
    for (const { write } of batch) {
      for (const { section, rows } of write.parts) {
        const all = bySection.get(section);
        if (all === undefined) bySection.set(section, [...rows]);
        else for (const row of rows) all.push(row);
      }
    }
    const tx = {
      query: async <Row>(statement: Statement): Promise<QueryResult<Row>> => {
        const result = await client.query(statement as pg.QueryConfig);
        return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
      },
    } as Tx;
    const alone =
      bySection.size === 1 &&
      [...bySection].every(([section, rows]) => !section.needsTransaction(rows));
    let highest = 0;
    if (!alone) await client.query('BEGIN');
    try {
      for (const [section, rows] of bySection) {
        highest = Math.max(highest, await section.write(tx, rows));
      }
      if (!alone) await client.query('COMMIT');
    } catch (error) {
      if (!alone) await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
    return highest;
  }

  async #connection(): Promise<pg.PoolClient> {
    if (this.#client === undefined) {
      // A new session may see commits whose answers were lost with the old one.
      const client = await this.#database.pool.connect();
      this.#client = client;
      client.once('error', (error) => {
        // Whoever finds it missing has released it; the pool would wait for it for ever otherwise.
        if (this.#client !== client) return;
        this.#logger.error({ err: error }, 'log connection lost');
        this.#client = undefined;
        client.release(error);
      });
      const position = await readPosition(this.#database);
      if (position > this.#position) this.#advance(position);
    }
    return this.#client;
  }
}

const readPosition = async (database: Database): Promise<number> => {
  const { rows } = await database.query<{ position: number }>({
    text: `SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS position FROM stream_positions`,
  });
  return rows[0]?.position ?? 0;
};

const isConnectionLoss = (error: Error): boolean =>
  'code' in error && /^(08|57P|XX000)/.test(String(error.code));
