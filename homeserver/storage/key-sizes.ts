/** How large what is stored of people's keys is: `device_keys`, `remote_devices`, `cross_signing_keys`. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';

/**
 * Whose keys do not go into so many bytes together, and how much all others' take. Who has least goes
 * in first, so that nobody is left out for what others heap up.
 */
export const keysBeyond = async (
  db: Db,
  userIds: readonly UserId[],
  maxBytes: number,
): Promise<{ readonly leftOut: ReadonlySet<UserId>; readonly bytes: number }> => {
  const { rows } = await db.query<{ bytes: number | null; left_out: UserId[] | null }>({
    name: 'keys-beyond',
    text: `SELECT max(upto) FILTER (WHERE upto <= $2)::float8 AS bytes,
        array_agg(user_id) FILTER (WHERE upto > $2) AS left_out
      FROM (
        SELECT user_id, sum(sum(bytes)) OVER (ORDER BY sum(bytes), user_id) AS upto
        FROM (
          SELECT user_id, octet_length(keys) AS bytes FROM device_keys
            WHERE user_id = ANY($1::text[])
          UNION ALL SELECT user_id, octet_length(keys) FROM remote_devices
            WHERE user_id = ANY($1::text[])
          UNION ALL SELECT user_id, octet_length(key) FROM cross_signing_keys
            WHERE user_id = ANY($1::text[])
        ) parts
        GROUP BY user_id
      ) sizes`,
    values: [userIds, maxBytes],
  });
  const [row] = rows;
  return { leftOut: new Set(row?.left_out ?? []), bytes: row?.bytes ?? 0 };
};
