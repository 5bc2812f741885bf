/** The table `presence`: how each of this server's people was last seen. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';

export interface PresenceRow {
  readonly userId: UserId;
  readonly presence: string;
  readonly statusMsg: string | undefined;
  readonly lastActiveMs: number;
  readonly serial: number;
}

/** Each user comes once. Of people who asked to be erased nothing is written any more. */
export const putPresence = async (db: Db, rows: readonly PresenceRow[]): Promise<void> => {
  await db.query({
    name: 'put-presence',
    text: `INSERT INTO presence AS kept (user_id, presence, status_msg, last_active_ms, serial)
      SELECT p.* FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
        AS p (user_id, presence, status_msg, last_active_ms, serial)
      WHERE NOT EXISTS (SELECT FROM users u WHERE u.user_id = p.user_id AND u.erased)
      ON CONFLICT (user_id) DO UPDATE SET presence = EXCLUDED.presence,
        status_msg = EXCLUDED.status_msg, last_active_ms = EXCLUDED.last_active_ms,
        serial = EXCLUDED.serial
        WHERE EXCLUDED.serial >= kept.serial`,
    values: [
      rows.map((row) => row.userId),
      rows.map((row) => row.presence),
      // No text column holds a NUL, and one of many is not to have all of them refused.
      rows.map((row) => row.statusMsg?.replaceAll('\u0000', '\ufffd') ?? null),
      rows.map((row) => row.lastActiveMs),
      rows.map((row) => row.serial),
    ],
  });
};

/** The newest changes, oldest first. Uses index presence_newest. */
export const newestPresence = async (db: Db, limit: number): Promise<PresenceRow[]> => {
  const { rows } = await db.query<{
    user_id: UserId;
    presence: string;
    status_msg: string | null;
    last_active_ms: number;
    serial: number;
  }>({
    text: `SELECT user_id, presence, status_msg, last_active_ms, serial FROM presence
      ORDER BY serial DESC LIMIT $1`,
    values: [limit],
  });
  return rows.reverse().map((row) => ({
    userId: row.user_id,
    presence: row.presence,
    statusMsg: row.status_msg ?? undefined,
    lastActiveMs: row.last_active_ms,
    serial: row.serial,
  }));
};
