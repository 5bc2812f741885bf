/** What becomes of people who asked to be erased: the column `users.erased_pos`, and their data. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

/** Tables with what only a user has, but for account data, which memory has to forget as well. */
const ownTables = [
  'profile_fields',
  'filters',
  'push_rules',
  'presence',
  'unread_counts',
  'receipts',
  'key_backups',
  'key_backup_keys',
  'cross_signing_keys',
  'key_signatures',
  'openid_tokens',
  'user_directory',
] as const;

/** Deletes what no event is. Sessions, devices and addresses go with the deactivation. */
export const eraseOwnData = async (tx: Tx, userId: UserId): Promise<void> => {
  for (const table of ownTables) {
    await tx.query({
      name: `erase-${table}`,
      text: `DELETE FROM ${table} WHERE user_id = $1`,
      values: [userId],
    });
  }
};

/** Of these users those who are erased, with the log's position at that time. Index users_erased. */
export const erasedPositions = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<Map<UserId, number>> => {
  const { rows } = await db.query<{ user_id: UserId; erased_pos: number }>({
    name: 'erased-positions',
    text: `SELECT user_id, erased_pos FROM users
      WHERE user_id = ANY($1::text[]) AND erased_pos IS NOT NULL`,
    values: [userIds],
  });
  return new Map(rows.map((row) => [row.user_id, row.erased_pos]));
};

interface Batch {
  readonly userIds: Set<UserId>;
  readonly answer: Promise<ReadonlyMap<UserId, number>>;
}

const batches = new WeakMap<Db, Batch>();

/** Like `erasedPositions`: whoever asks in one turn of the event loop shares one query. */
export const erasedPositionsTogether = (
  db: Db,
  userIds: Iterable<UserId>,
): Promise<ReadonlyMap<UserId, number>> => {
  const batch = batches.get(db) ?? newBatch(db);
  for (const userId of userIds) batch.userIds.add(userId);
  return batch.answer;
};

const newBatch = (db: Db): Batch => {
  const userIds = new Set<UserId>();
  const answer = new Promise((resolve) => setImmediate(resolve)).then(() => {
    batches.delete(db);
    return erasedPositions(db, [...userIds]);
  });
  const batch = { userIds, answer };
  batches.set(db, batch);
  return batch;
};
