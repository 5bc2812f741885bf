/** The sequence `ephemeral_serials`. */
import type { Db } from './database.ts';

/** So many serials are in a block. */
export const serialBlockSize = 2 ** 24;

/** The first serial of a block that nobody else gets; higher than all that were handed out before. */
export const takeSerialBlock = async (db: Db): Promise<number> => {
  const { rows } = await db.query<{ first: number }>({
    text: `SELECT nextval('ephemeral_serials') AS first`,
  });
  return rows[0]?.first as number;
};
