/** The table `unread_counts`: what may be counted again from the log, kept so that it need not be. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { byWish, type RoomsOfUser, wishColumns } from './rooms-of-user.ts';
import type { Walk } from './walk.ts';

export interface UnreadCountRow {
  readonly userId: UserId;
  readonly roomNid: number;
  readonly countedPos: number;
  readonly receiptsPos: number;
  readonly readPos: number;
  /** JSON. */
  readonly threads: string;
}

/** Counts in these rooms, by the wish. */
export const unreadCountsOf = async <Wish extends RoomsOfUser>(
  db: Db,
  wishes: readonly Wish[],
): Promise<Map<Wish, UnreadCountRow[]>> => {
  const { rows } = await db.query<{
    place: number;
    user_id: UserId;
    room_nid: number;
    counted_pos: number;
    receipts_pos: number;
    read_pos: number;
    threads: string;
  }>({
    name: 'unread-counts-of',
    text: `SELECT w.place, u.user_id, u.room_nid, u.counted_pos, u.receipts_pos, u.read_pos, u.threads
      FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS w (place, user_id, room_nid)
      JOIN unread_counts u ON u.user_id = w.user_id AND u.room_nid = w.room_nid`,
    values: wishColumns(wishes),
  });
  return byWish(wishes, rows, (row) => ({
    userId: row.user_id,
    roomNid: row.room_nid,
    countedPos: row.counted_pos,
    receiptsPos: row.receipts_pos,
    readPos: row.read_pos,
    threads: row.threads,
  }));
};

/**
 * One statement, and so all or nothing. No transaction of the caller's: a row that is lost is
 * counted again. Each user and room comes once.
 */
export const putUnreadCounts = async (db: Db, rows: readonly UnreadCountRow[]): Promise<void> => {
  await db.query({
    name: 'put-unread-counts',
    text: `INSERT INTO unread_counts AS kept (user_id, room_nid, counted_pos, receipts_pos,
        read_pos, threads)
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
        $6::text[])
      ON CONFLICT (user_id, room_nid) DO UPDATE SET counted_pos = EXCLUDED.counted_pos,
        receipts_pos = EXCLUDED.receipts_pos, read_pos = EXCLUDED.read_pos,
        threads = EXCLUDED.threads
        WHERE EXCLUDED.counted_pos >= kept.counted_pos`,
    values: [
      rows.map((row) => row.userId),
      rows.map((row) => row.roomNid),
      rows.map((row) => row.countedPos),
      rows.map((row) => row.receiptsPos),
      rows.map((row) => row.readPos),
      rows.map((row) => row.threads),
    ],
  });
};

/** Of rooms that their users are not in. */
export const idleUnreadCounts: Walk = {
  table: 'unread_counts',
  key: [
    ['user_id', 'text'],
    ['room_nid', 'bigint'],
  ],
  gone: `NOT EXISTS (SELECT FROM user_rooms u
    WHERE u.user_id = t.user_id AND u.room_nid = t.room_nid AND u.membership = 'join')`,
};
