/** The table `filters`. A filter, once stored, never changes. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface FilterKey {
  readonly userId: UserId;
  readonly filterId: number;
}

/** The JSON as uploaded, of those that there are. */
export const filterDefinitions = async <Key extends FilterKey>(
  db: Db,
  keys: readonly Key[],
): Promise<Map<Key, string>> => {
  const { rows } = await db.query<{ place: number; definition: string }>({
    name: 'filter-definitions',
    text: `SELECT w.place, f.definition
      FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS w (user_id, filter_id, place)
      JOIN filters f ON f.user_id = w.user_id AND f.filter_id = w.filter_id`,
    values: [keys.map(({ userId }) => userId), keys.map(({ filterId }) => filterId)],
  });
  return new Map(rows.map(({ place, definition }) => [keys[place - 1] as Key, definition]));
};

export const filterIdByHash = async (
  db: Db,
  userId: UserId,
  definitionHash: string,
): Promise<number | undefined> => {
  const { rows } = await db.query<{ filter_id: number }>({
    text: 'SELECT filter_id FROM filters WHERE user_id = $1 AND definition_hash = $2',
    values: [userId, definitionHash],
  });
  return rows[0]?.filter_id;
};

/**
 * Stores a filter under the next number; `undefined` when that is more than the limits allow.
 * The caller holds the user's row locked, so that numbers are given out one at a time.
 */
export const insertFilter = async (
  tx: Tx,
  userId: UserId,
  definition: string,
  definitionHash: string,
  limits: { readonly count: number; readonly bytes: number },
): Promise<number | undefined> => {
  const { rows } = await tx.query<{ filter_id: number }>({
    text: `INSERT INTO filters (user_id, filter_id, definition, definition_hash)
      SELECT $1, coalesce(max(filter_id), 0) + 1, $2, $3 FROM filters WHERE user_id = $1
      HAVING count(*) < $4
        AND coalesce(sum(octet_length(definition)), 0) + octet_length($2::text) <= $5
      RETURNING filter_id`,
    values: [userId, definition, definitionHash, limits.count, limits.bytes],
  });
  return rows[0]?.filter_id;
};
