/**
 * The table `abandoned_rooms`, and the log section by which a room ceases to be one of this server.
 *
 * Whatever is read of a room is found through its row in `rooms`. Without that row all the rest is out of
 * reach at once, and `purged-rooms.ts` deletes it later, a little at a time.
 */
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import { type LogSection, nothingFilledIn } from '../streams/log-batch.ts';
import type { Db, Tx } from './database.ts';
import { stateEntryKey } from './text-keys.ts';

const entryKey = stateEntryKey('type', 'state_key');

export interface AbandonedRoom {
  readonly roomNid: number;
  readonly roomId: RoomId;
  /** Where the log was when nobody had to do with it any more. */
  readonly sincePos: number;
}

/** Entries of a state looked at with one statement: some ten milliseconds of the database. */
const ENTRIES_AT_ONCE = 5_000;
/** Keys of entries are numbers of 64 bits. */
const FIRST_ENTRY = String(-(2n ** 63n));

/**
 * Whether the room matters to anyone of this server: whoever is in it or asked to it, has left without
 * forgetting it, or has reported something in it that nobody has looked into. Who left for good, with
 * their account, forgets nothing any more. An invite to a room this server was never in leaves nothing to
 * forget.
 *
 * Looks at a part of the room's state, so many entries that it does not take long: `next` is where to go
 * on, where nobody was found among these; it begins without `after`. Uses index state_changes_current and the key of user_rooms.
 */
export const isRoomKept = async (
  db: Db,
  roomNid: number,
  serverName: ServerName,
  after: string | undefined,
  limit = ENTRIES_AT_ONCE,
): Promise<{ readonly isKept: boolean; readonly next: string | undefined }> => {
  const { rows } = await db.query<{ kept: boolean; looked_at: number; last: string }>({
    name: 'is-room-kept',
    text: `WITH page AS MATERIALIZED (
        SELECT ${entryKey} AS entry, type, state_key FROM state_changes
        WHERE room_nid = $1 AND is_current AND ${entryKey} > $3
        ORDER BY ${entryKey} LIMIT $4
      )
      SELECT (SELECT count(*) FROM page) AS looked_at, (SELECT max(entry) FROM page)::text AS last,
        EXISTS (
          SELECT FROM page
          WHERE type = 'm.room.member' AND substring(state_key FROM position(':' IN state_key) + 1) = $2
            AND NOT coalesce((
              SELECT u.forgotten OR (u.membership IN ('leave', 'ban') AND EXISTS (
                SELECT FROM users p WHERE p.user_id = u.user_id AND p.deactivated_at_ms IS NOT NULL))
              FROM user_rooms u WHERE u.user_id = page.state_key AND u.room_nid = $1), false)
        ) OR EXISTS (
          SELECT FROM outside_memberships o
          JOIN user_rooms u ON u.user_id = o.user_id AND u.room_nid = o.room_nid
            AND u.event_nid = o.event_nid
          WHERE o.room_nid = $1
        ) OR EXISTS (
          SELECT FROM reports t JOIN rooms r USING (room_id)
          WHERE r.room_nid = $1 AND t.closed_at_ms IS NULL
        ) AS kept`,
    values: [roomNid, serverName, after ?? FIRST_ENTRY, limit],
  });
  const [row] = rows;
  if (row === undefined || row.kept) return { isKept: row?.kept === true, next: undefined };
  return { isKept: false, next: row.looked_at < limit ? undefined : row.last };
};

/** Rooms by nid after `after`: those that may be abandoned, and whether they were the last time. */
export const roomsAfter = async (
  db: Db,
  after: number,
  limit: number,
): Promise<{ roomNid: number; isPresent: boolean; wasAbandoned: boolean }[]> => {
  const { rows } = await db.query<{ room_nid: number; present: boolean; abandoned: boolean }>({
    name: 'rooms-after',
    text: `SELECT r.room_nid, coalesce(o.present, false) AS present,
        a.room_nid IS NOT NULL AS abandoned
      FROM (SELECT room_nid FROM rooms WHERE room_nid > $1 ORDER BY room_nid LIMIT $2) r
      LEFT JOIN open_rooms o USING (room_nid) LEFT JOIN abandoned_rooms a USING (room_nid)
      ORDER BY r.room_nid`,
    values: [after, limit],
  });
  return rows.map((row) => ({
    roomNid: row.room_nid,
    isPresent: row.present,
    wasAbandoned: row.abandoned,
  }));
};

/** From now on; also where that was noted before. */
export const noteAbandoned = async (tx: Tx, roomNid: number, nowMs: number): Promise<void> => {
  await tx.query({
    name: 'note-abandoned',
    text: `INSERT INTO abandoned_rooms (room_nid, since_ms, since_pos)
      SELECT $1, $2, last_value FROM stream_positions
      ON CONFLICT (room_nid) DO UPDATE SET since_ms = EXCLUDED.since_ms,
        since_pos = EXCLUDED.since_pos`,
    values: [roomNid, nowMs],
  });
};

export const deleteAbandoned = async (tx: Tx, roomNid: number): Promise<void> => {
  await tx.query({
    name: 'delete-abandoned',
    text: 'DELETE FROM abandoned_rooms WHERE room_nid = $1',
    values: [roomNid],
  });
};

/** The one abandoned longest, where that is since before `beforeMs`. Uses index abandoned_rooms_since. */
export const abandonedBefore = async (
  db: Db,
  beforeMs: number,
): Promise<AbandonedRoom | undefined> => {
  const { rows } = await db.query<{ room_nid: number; room_id: RoomId; since_pos: number }>({
    name: 'abandoned-before',
    text: `SELECT a.room_nid, r.room_id, a.since_pos FROM abandoned_rooms a JOIN rooms r USING (room_nid)
      WHERE a.since_ms < $1 ORDER BY a.since_ms LIMIT 1`,
    values: [beforeMs],
  });
  const [row] = rows;
  return row && { roomNid: row.room_nid, roomId: row.room_id, sincePos: row.since_pos };
};

/** Whether anything has happened in the room after a position. Uses index events_timeline. */
export const hasEventsAfter = async (
  db: Db,
  roomNid: number,
  position: number,
): Promise<boolean> => {
  const { rowCount } = await db.query({
    name: 'has-events-after',
    text: 'SELECT 1 FROM events WHERE room_nid = $1 AND stream_pos > $2 LIMIT 1',
    values: [roomNid, position],
  });
  return rowCount > 0;
};

/** Room nids: in turn with everything else that is written to rooms. */
export const roomPurges: LogSection<number> = {
  name: 'room purges',
  ...nothingFilledIn,
  needsTransaction: () => true,
  async write(tx, roomNids) {
    const { rows } = await tx.query<{ room_id: string }>({
      text: `WITH gone AS (DELETE FROM rooms WHERE room_nid = ANY($1::bigint[]) RETURNING *)
        INSERT INTO purged_rooms (room_nid, room_id, purged_pos)
        SELECT gone.room_nid, gone.room_id, last_value FROM gone, stream_positions
        RETURNING room_id`,
      values: [roomNids],
    });
    for (const table of ['room_heads', 'abandoned_rooms', 'open_rooms']) {
      await tx.query({
        text: `DELETE FROM ${table} WHERE room_nid = ANY($1::bigint[])`,
        values: [roomNids],
      });
    }
    const roomIds = rows.map(({ room_id: roomId }) => roomId);
    for (const table of ['room_aliases', 'published_rooms']) {
      await tx.query({
        text: `DELETE FROM ${table} WHERE room_id = ANY($1::text[])`,
        values: [roomIds],
      });
    }
    // Nothing that readers of the log are told of.
    return 0;
  },
};
