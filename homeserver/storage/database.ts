/**
 * The two handles every storage function takes first: `Db` to read, `Tx` to write. A `Tx` is also a
 * `Db`, so a read inside a transaction sees that transaction's own writes.
 */
import type { Knex } from 'knex';
import pg from 'pg';
import { isDatabaseAway } from './database-away.ts';

// Ids and positions are int8; all of them stay below 2^53, so they are plain numbers here.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(1016 as never, (raw: string) =>
  raw === '{}' ? [] : raw.slice(1, -1).split(',').map(Number),
);

/** A statement; `name` makes it a prepared one, so it must always stand for the same text. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface QueryResult<Row> {
  readonly rows: Row[];
  readonly rowCount: number;
}

export interface Db {
  query<Row = Record<string, unknown>>(statement: Statement): Promise<QueryResult<Row>>;
}

declare const transactional: unique symbol;
export interface Tx extends Db {
  readonly [transactional]: true;
  /**
   * Runs after the transaction has committed, in the order given; never after a roll-back. What it
   * returns a promise for, whoever began the transaction waits for.
   */
  onCommit(callback: () => void | Promise<void>): void;
}

const run = async <Row>(
  client: pg.Pool | pg.PoolClient,
  statement: Statement,
): Promise<QueryResult<Row>> => {
  const result = await client.query(statement as pg.QueryConfig);
  return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
};

/** How many statements this process has sent, whatever became of them. */
export interface StatementCount {
  sent: number;
}

export interface DatabaseParts {
  readonly statements: Readonly<StatementCount>;
  /** Makes a session beside the pool. */
  readonly session: (settings: pg.ClientConfig) => pg.Client;
}

/** What is wrong with the connection, if it cannot be given to the next borrower. */
const rollBack = async (client: pg.PoolClient, failure: Error): Promise<Error | undefined> => {
  // Nothing more is asked of one that does not answer.
  if (isDatabaseAway(failure)) return failure;
  return client.query('ROLLBACK').then(
    () => undefined,
    (error: Error) => error,
  );
};

/** The connection pool. Closed by whoever built it. */
export class Database implements Db {
  readonly pool: pg.Pool;
  /** For queries where the builder reads better than SQL, and for migrations. */
  readonly knex: Knex;
  readonly #statements: Readonly<StatementCount>;
  readonly #session: DatabaseParts['session'];

  constructor(pool: pg.Pool, knex: Knex, { statements, session }: DatabaseParts) {
    this.pool = pool;
    this.knex = knex;
    this.#statements = statements;
    this.#session = session;
  }

  /** Sent over this pool, and over sessions beside it, so far. */
  get statementCount(): number {
    return this.#statements.sent;
  }

  /** A session beside the pool, not connected yet. Closed by whoever asked for it. */
  session(settings: pg.ClientConfig): pg.Client {
    return this.#session(settings);
  }

  query<Row = Record<string, unknown>>(statement: Statement): Promise<QueryResult<Row>> {
    return run<Row>(this.pool, statement);
  }

  /** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    const callbacks: (() => void | Promise<void>)[] = [];
    const tx = {
      query: <Row>(statement: Statement) => run<Row>(client, statement),
      onCommit: (callback: () => void | Promise<void>) => void callbacks.push(callback),
    } as Tx;
    let result: T;
    try {
      await client.query('BEGIN');
      result = await work(tx);
      await client.query('COMMIT');
    } catch (error) {
      client.release(await rollBack(client, error as Error));
      throw error;
    }
    client.release();
    const waits: Promise<void>[] = [];
    for (const callback of callbacks) {
      const wait = callback();
      if (wait !== undefined) waits.push(wait);
    }
    if (waits.length > 0) await Promise.all(waits);
    return result;
  }

  async close(): Promise<void> {
    await this.knex.destroy();
    await this.pool.end();
  }
}
