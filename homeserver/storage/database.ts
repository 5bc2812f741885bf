/**
 * The two handles every storage function takes first: `Db` to read, `Tx` to write. A `Tx` is also a
 * `Db`, so a read inside a transaction sees that transaction's own writes.
 */
import type { Knex } from 'knex';
import pg from 'pg';

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
  /** Runs after the transaction has committed, in the order given; never after a roll-back. */
  onCommit(callback: () => void): void;
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

/** The connection pool. Closed by whoever built it. */
export class Database implements Db {
  readonly pool: pg.Pool;
  /** For queries where the builder reads better than SQL, and for migrations. */
  readonly knex: Knex;
  readonly #statements: Readonly<StatementCount>;

  constructor(pool: pg.Pool, knex: Knex, statements: Readonly<StatementCount>) {
    this.pool = pool;
    this.knex = knex;
    this.#statements = statements;
  }

  /** Sent over this pool so far. */
  get statementCount(): number {
    return this.#statements.sent;
  }

  query<Row = Record<string, unknown>>(statement: Statement): Promise<QueryResult<Row>> {
    return run<Row>(this.pool, statement);
  }

  /** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    const callbacks: (() => void)[] = [];
    const tx = {
      query: <Row>(statement: Statement) => run<Row>(client, statement),
      onCommit: (callback: () => void) => void callbacks.push(callback),
    } as Tx;
    let failure: Error | undefined;
    let result: T;
    try {
      await client.query('BEGIN');
      result = await work(tx);
      await client.query('COMMIT');
    } catch (error) {
      failure = error as Error;
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      // A connection that failed in mid-transaction is not given to the next borrower.
      client.release(failure !== undefined && !('code' in failure) ? failure : undefined);
    }
    for (const callback of callbacks) callback();
    return result;
  }

  async close(): Promise<void> {
    await this.knex.destroy();
    await this.pool.end();
  }
}
