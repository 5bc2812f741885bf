/**
 * Deleting what is of no use any more, a bounded number of rows at a time. Either by an index that has
 * what is old in front, or by walking through a table in the order of its primary key.
 */
import type { Tx } from './database.ts';

/** The key of the row at which the next step goes on. */
export type WalkCursor = readonly (string | number)[];

export interface WalkStep {
  readonly deleted: number;
  /** Undefined: nothing is left for now. */
  readonly next: WalkCursor | undefined;
}

export interface Walk {
  readonly table: string;
  /** The columns of the primary key, in its order, with their types. */
  readonly key: readonly (readonly [column: string, type: 'text' | 'bigint' | 'integer'])[];
  /**
   * SQL: whether a row `t` goes, by lookups in indexes. May ask for `:beforeMs` and `:beforePos`, the
   * time before which things are old, by the clock and by the log.
   */
  readonly gone: string;
}

export interface WalkTime {
  readonly beforeMs: number;
  readonly beforePos: number;
}

/** Looks at up to `limit` rows after `after` and deletes those that are to go. Walks the primary key. */
export const walkTable = async (
  tx: Tx,
  walk: Walk,
  { beforeMs, beforePos }: WalkTime,
  limit: number,
  after: WalkCursor | undefined,
): Promise<WalkStep> => {
  const columns = walk.key.map(([column]) => column);
  // Both are numbers of ours; as text, a condition need not ask for either.
  const gone = walk.gone
    .replaceAll(':beforeMs', String(Math.trunc(beforeMs)))
    .replaceAll(':beforePos', String(Math.trunc(beforePos)));
  const from =
    after === undefined
      ? ''
      : `WHERE (${columns.join(', ')}) > (${walk.key
          .map(([, type], index) => `$${index + 2}::${type}`)
          .join(', ')})`;
  const { rows } = await tx.query<Record<string, string | number>>({
    text: `WITH page AS MATERIALIZED (
        SELECT ${columns.join(', ')} FROM ${walk.table} ${from}
        ORDER BY ${columns.join(', ')} LIMIT $1
      ),
      gone AS (
        DELETE FROM ${walk.table} t USING page p
        WHERE ${columns.map((column) => `t.${column} = p.${column}`).join(' AND ')}
          AND (${gone}) RETURNING 1
      )
      SELECT ${columns.map((column) => `p.${column} AS ${column}`).join(', ')},
        (SELECT count(*) FROM page) AS looked_at, (SELECT count(*) FROM gone) AS deleted
      FROM page p ORDER BY ${columns.map((column) => `p.${column} DESC`).join(', ')} LIMIT 1`,
    values: [limit, ...(after ?? [])],
  });
  const [last] = rows;
  if (last === undefined) return { deleted: 0, next: undefined };
  return {
    deleted: Number(last['deleted']),
    next:
      Number(last['looked_at']) < limit ? undefined : columns.map((column) => last[column] ?? ''),
  };
};

export interface Expiry {
  readonly table: string;
  /** SQL: what goes. `$1`, `$2`, … are `values`. */
  readonly gone: string;
  /** Of an index that has those in front. */
  readonly order: string;
}

/** Deletes up to `limit` of the oldest rows, which an index finds at once. */
export const deleteExpired = async (
  tx: Tx,
  { table, gone, order }: Expiry,
  values: readonly unknown[],
  limit: number,
): Promise<WalkStep> => {
  const { rowCount } = await tx.query({
    text: `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM ${table} WHERE ${gone} ORDER BY ${order} LIMIT $${values.length + 1}))`,
    values: [...values, limit],
  });
  return { deleted: rowCount, next: rowCount < limit ? undefined : [] };
};
