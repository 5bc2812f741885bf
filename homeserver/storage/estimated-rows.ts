/** How large a table is without looking into it: what the database noted at its last clean-up. */
import type { Db } from './database.ts';

/** 0 for a table that has not been cleaned up yet. */
export const estimatedRows = async (db: Db, table: string): Promise<number> => {
  const { rows } = await db.query<{ rows: number }>({
    name: 'estimated-rows',
    text: 'SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_class WHERE oid = to_regclass($1)',
    values: [table],
  });
  return rows[0]?.rows ?? 0;
};
