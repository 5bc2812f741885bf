/** The table `account_changes`: what commands tell the running server. Rows are few and live shortly. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface AccountChange {
  readonly changeNo: number;
  readonly userId: UserId;
}

export const addAccountChange = async (tx: Tx, userId: UserId, nowMs: number): Promise<void> => {
  await tx.query({
    text: 'INSERT INTO account_changes (user_id, changed_at_ms) VALUES ($1, $2)',
    values: [userId, nowMs],
  });
};

/** Made since then, in no order: at most `limit`. */
export const accountChangesSince = async (
  db: Db,
  sinceMs: number,
  limit: number,
): Promise<AccountChange[]> => {
  const { rows } = await db.query<{ change_no: number; user_id: UserId }>({
    name: 'account-changes-since',
    text: 'SELECT change_no, user_id FROM account_changes WHERE changed_at_ms > $1 LIMIT $2',
    values: [sinceMs, limit],
  });
  return rows.map((row) => ({ changeNo: row.change_no, userId: row.user_id }));
};

export const deleteAccountChangesBefore = async (tx: Tx, beforeMs: number): Promise<void> => {
  await tx.query({
    text: 'DELETE FROM account_changes WHERE changed_at_ms <= $1',
    values: [beforeMs],
  });
};
