/** The table `profile_fields`: the profiles of local accounts. */
import type { JsonValue } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export type ProfileFields = Record<string, JsonValue>;

/** By user, those without any field left out. */
export const profilesOf = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<Map<UserId, ProfileFields>> => {
  const { rows } = await db.query<{ user_id: UserId; field: string; value: string }>({
    name: 'profiles-of',
    text: 'SELECT user_id, field, value FROM profile_fields WHERE user_id = ANY($1::text[])',
    values: [userIds],
  });
  const profiles = new Map<UserId, ProfileFields>();
  for (const { user_id: userId, field, value } of rows) {
    const fields = profiles.get(userId) ?? {};
    fields[field] = JSON.parse(value) as JsonValue;
    profiles.set(userId, fields);
  }
  return profiles;
};

export const putProfileField = async (
  tx: Tx,
  userId: UserId,
  field: string,
  value: JsonValue,
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO profile_fields (user_id, field, value) VALUES ($1, $2, $3)
      ON CONFLICT (user_id, field) DO UPDATE SET value = excluded.value`,
    values: [userId, field, JSON.stringify(value)],
  });
};

/** Whether there was such a field. */
export const deleteProfileField = async (
  tx: Tx,
  userId: UserId,
  field: string,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM profile_fields WHERE user_id = $1 AND field = $2',
    values: [userId, field],
  });
  return rowCount === 1;
};
