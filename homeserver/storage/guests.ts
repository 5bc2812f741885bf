/** Which accounts are guests. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';

export const guestsAmong = async (db: Db, userIds: readonly UserId[]): Promise<UserId[]> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    text: `SELECT user_id FROM users WHERE user_id = ANY($1::text[]) AND is_guest`,
    values: [userIds],
  });
  return rows.map(({ user_id: userId }) => userId);
};
