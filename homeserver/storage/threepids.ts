/** The table `threepids`: e-mail addresses and telephone numbers of accounts. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface Threepid {
  readonly medium: string;
  /** Canonical: an e-mail address case-folded, a telephone number of digits only. */
  readonly address: string;
  readonly validatedAtMs: number;
  readonly addedAtMs: number;
}

export const userByThreepid = async (
  db: Db,
  medium: string,
  address: string,
): Promise<UserId | undefined> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    text: 'SELECT user_id FROM threepids WHERE medium = $1 AND address = $2',
    values: [medium, address],
  });
  return rows[0]?.user_id;
};

/** The oldest first. */
export const threepidsOf = async (db: Db, userId: UserId): Promise<Threepid[]> => {
  const { rows } = await db.query<{
    medium: string;
    address: string;
    validated_at_ms: number;
    added_at_ms: number;
  }>({
    text: `SELECT medium, address, validated_at_ms, added_at_ms FROM threepids
      WHERE user_id = $1 ORDER BY added_at_ms, medium, address`,
    values: [userId],
  });
  return rows.map((row) => ({
    medium: row.medium,
    address: row.address,
    validatedAtMs: row.validated_at_ms,
    addedAtMs: row.added_at_ms,
  }));
};

/** Whether the account had it. */
export const deleteThreepid = async (
  tx: Tx,
  userId: UserId,
  medium: string,
  address: string,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM threepids WHERE user_id = $1 AND medium = $2 AND address = $3',
    values: [userId, medium, address],
  });
  return rowCount === 1;
};

export const deleteThreepidsOf = async (tx: Tx, userId: UserId): Promise<void> => {
  await tx.query({ text: 'DELETE FROM threepids WHERE user_id = $1', values: [userId] });
};
