/** A database that notes what it is asked, so that a test can judge by statements and pages. */
import pg from 'pg';
import type { Database, Db, QueryResult, Statement } from '../storage/database.ts';

export interface SeenStatement extends Statement {
  /** Rows that came back. */
  readonly rowCount: number;
}

export interface StatementWatch {
  /** In the order in which their answers came. */
  readonly seen: SeenStatement[];
  /** Forgets what was seen so far. */
  reset(): void;
  stop(): void;
}

/** Notes every statement from now on; those of transactions only where that is asked for. */
export const watchStatements = (
  database: Database,
  { inTransactions = false }: { readonly inTransactions?: boolean } = {},
): StatementWatch => {
  const seen: SeenStatement[] = [];
  const { query, transaction } = database;
  const noting = (db: Db): Db['query'] => {
    const original = db.query.bind(db);
    return async <Row>(statement: Statement): Promise<QueryResult<Row>> => {
      const result = await original<Row>(statement);
      seen.push({ ...statement, rowCount: result.rowCount });
      return result;
    };
  };
  database.query = noting(database);
  if (inTransactions) {
    database.transaction = (work) =>
      transaction.call(database, (tx) => {
        tx.query = noting(tx);
        return work(tx);
      }) as ReturnType<typeof work>;
  }
  return {
    seen,
    reset: () => {
      seen.length = 0;
    },
    stop: () => {
      Object.assign(database, { query, transaction });
    },
  };
};

export interface StatementCost {
  /** Pages of 8 kB that are touched. */
  readonly pages: number;
  readonly indexes: ReadonlySet<string>;
}

/** What a statement costs by a plan made for its values, as the first few times. */
export const explain = async (
  database: Database,
  { text, values }: Statement,
): Promise<StatementCost> => {
  const { rows } = await database.query<Explained>({
    text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    values: values ?? [],
  });
  return costIn(rows);
};

/** The same by the plan that a prepared statement ends up with, which is made without its values. */
export const explainPrepared = (
  database: Database,
  { text, values = [] }: Statement,
): Promise<StatementCost> =>
  database.transaction(async (tx) => {
    await tx.query({ text: 'SET LOCAL plan_cache_mode = force_generic_plan' });
    await tx.query({ text: `PREPARE explained AS ${text}` });
    const literals = values.map((value) =>
      pg.escapeLiteral(Array.isArray(value) ? `{${value.join(',')}}` : String(value)),
    );
    const { rows } = await tx.query<Explained>({
      text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained(${literals.join(', ')})`,
    });
    await tx.query({ text: 'DEALLOCATE explained' });
    return costIn(rows);
  });

interface Plan {
  readonly [property: string]: unknown;
  readonly Plans?: readonly Plan[];
}

interface Explained {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: Plan }];
}

const costIn = ([row]: readonly Explained[]): StatementCost => {
  const root = row?.['QUERY PLAN'][0].Plan as Plan;
  const indexes = new Set<string>();
  const visit = (plan: Plan): void => {
    const name = plan['Index Name'];
    if (typeof name === 'string') indexes.add(name);
    for (const child of plan.Plans ?? []) visit(child);
  };
  visit(root);
  const pages = Number(root['Shared Hit Blocks']) + Number(root['Shared Read Blocks']);
  return { pages, indexes };
};
