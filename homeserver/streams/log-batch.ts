/** How a batch of the log becomes statements: one for each kind of row, in one transaction. */
import type pg from 'pg';
import type { QueryResult, Statement, Tx } from '../storage/database.ts';
import { isDatabaseAway } from '../storage/database-away.ts';

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
  /** What `write` has filled in, as JSON can hold it: for the process whose row it is. */
  answer(row: Row): unknown;
  /** Fills it in there. */
  take(row: Row, answer: unknown): void;
}

/** For rows in which `write` fills in these fields. */
export const filledIn = <Row extends object>(
  ...fields: readonly (keyof Row)[]
): Pick<LogSection<Row>, 'answer' | 'take'> => ({
  answer: (row) => fields.map((field) => row[field]),
  take: (row, answer) => {
    for (const [index, field] of fields.entries()) {
      row[field] = (answer as Row[typeof field][])[index] as Row[typeof field];
    }
  },
});

/** For rows that `write` leaves as they are. */
export const nothingFilledIn: Pick<LogSection<unknown>, 'answer' | 'take'> = {
  answer: () => null,
  take: () => undefined,
};

/** Rows of one section; built by `rowsOf`, which keeps section and row types together. */
export interface SectionRows {
  readonly section: LogSection<unknown>;
  readonly rows: readonly unknown[];
}

export const rowsOf = <Row>(section: LogSection<Row>, rows: readonly Row[]): SectionRows => ({
  section: section as LogSection<unknown>,
  rows,
});

/** Writes everything or nothing; returns the highest position it used. */
export const writeBatch = async (
  client: pg.Client,
  batch: readonly { readonly parts: readonly SectionRows[] }[],
): Promise<number> => {
  const bySection = new Map<LogSection<unknown>, unknown[]>();
  for (const { parts } of batch) {
    for (const { section, rows } of parts) {
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
    // A session that is lost or frozen is asked nothing more.
    if (!alone && !isOutcomeUnknown(error as Error)) {
      await client.query('ROLLBACK').catch(() => undefined);
    }
    throw error;
  }
  return highest;
};

/** Whether a failed batch may have been committed, or may still be. */
export const isOutcomeUnknown = (error: Error): boolean =>
  isDatabaseAway(error) || ('code' in error && error.code === 'XX000');
