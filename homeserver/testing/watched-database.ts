/** A database that notes what it is asked, so that a test can judge by statements and pages. */
import type { Database, QueryResult, Statement } from '../storage/database.ts';

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

/** Notes every statement outside transactions from now on. */
export const watchStatements = (database: Database): StatementWatch => {
  const seen: SeenStatement[] = [];
  const original = database.query.bind(database);
  database.query = async <Row>(statement: Statement): Promise<QueryResult<Row>> => {
    const result = await original<Row>(statement);
    seen.push({ ...statement, rowCount: result.rowCount });
    return result;
  };
  return {
    seen,
    reset: () => {
      seen.length = 0;
    },
    stop: () => {
      database.query = original;
    },
  };
};

interface Plan {
  readonly [property: string]: unknown;
  readonly Plans?: readonly Plan[];
}

/** How many pages of 8 kB a statement touches, and which indexes it uses. */
export const explain = async (
  database: Database,
  { text, values }: Statement,
): Promise<{ pages: number; indexes: Set<string> }> => {
  const { rows } = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>({
    text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    values: values ?? [],
  });
  const root = rows[0]?.['QUERY PLAN'][0].Plan as Plan;
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
