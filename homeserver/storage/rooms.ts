/** Reading rooms: their names, where they stand, and their current state as it is stored. */
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';

/** Of a row `r` of rooms: whether events are missing from its timeline. */
const hasGaps =
  'EXISTS (SELECT 1 FROM missing_prev_events m WHERE m.room_nid = r.room_nid) AS has_gaps';

export interface RoomRecord {
  room_nid: number;
  room_id: RoomId;
  /** That of its create event; null where the room is known only from hearsay. */
  version: string | null;
  extremities: number[] | null;
  snapshot_nid: number | null;
}

export const roomsById = async (db: Db, roomIds: readonly RoomId[]): Promise<RoomRecord[]> => {
  const { rows } = await db.query<RoomRecord>({
    name: 'rooms-by-id',
    text: `SELECT r.room_nid, r.room_id, r.version, h.extremities, h.snapshot_nid
      FROM rooms r LEFT JOIN room_heads h USING (room_nid) WHERE r.room_id = ANY($1::text[])`,
    values: [roomIds],
  });
  return rows;
};

export interface RoomHeadRecord extends RoomRecord {
  /** Whether redactions wait for their targets, and whether its timeline has gaps. */
  has_redactions: boolean;
  has_gaps: boolean;
}

/** In no particular order; absent ones are left out. */
export const roomsByNid = async (
  db: Db,
  roomNids: readonly number[],
): Promise<RoomHeadRecord[]> => {
  const { rows } = await db.query<RoomHeadRecord>({
    name: 'rooms-by-nid',
    text: `SELECT r.room_nid, r.room_id, r.version, h.extremities, h.snapshot_nid,
        EXISTS (SELECT 1 FROM unapplied_redactions u WHERE u.room_nid = r.room_nid)
          AS has_redactions,
        ${hasGaps}
      FROM rooms r LEFT JOIN room_heads h USING (room_nid) WHERE r.room_nid = ANY($1::bigint[])`,
    values: [roomNids],
  });
  return rows;
};

export interface StoredRoomRecord {
  room_nid: number;
  room_id: RoomId;
  version: string;
  snapshot_nid: number;
  joined: number;
  invited: number;
  has_gaps: boolean;
  /** Of the newest event that was placed in the log. */
  last_pos: number;
  /** Type, state key, nid, id and membership of the events in the current state. */
  state: [string, string, number, EventId, string | null][];
}

/**
 * Rooms with their current state, as of one moment, in no particular order; of a room with more than
 * `maxEntries`, that many and one. Those this server is not in, and never was, are left out.
 */
export const storedRooms = async (
  db: Db,
  roomNids: readonly number[],
  maxEntries: number,
): Promise<StoredRoomRecord[]> => {
  const { rows } = await db.query<StoredRoomRecord>({
    name: 'stored-rooms',
    text: `SELECT r.room_nid, r.room_id, r.version, h.snapshot_nid, h.joined, h.invited,
        ${hasGaps},
        newest.stream_pos AS last_pos, current.state
      FROM unnest($1::bigint[]) AS wanted (room_nid)
      JOIN rooms r USING (room_nid) JOIN room_heads h USING (room_nid)
      CROSS JOIN LATERAL (
        SELECT stream_pos FROM events
        WHERE events.room_nid = r.room_nid AND stream_pos IS NOT NULL
        ORDER BY stream_pos DESC, backfill_pos DESC LIMIT 1
      ) newest
      CROSS JOIN LATERAL (
        SELECT json_agg(json_build_array(c.type, c.state_key, c.event_nid, e.event_id,
          c.membership)) AS state
        FROM (
          SELECT * FROM current_state WHERE current_state.room_nid = r.room_nid LIMIT $2
        ) c
        -- One by one through the key, so that no plan reads the whole table for them.
        CROSS JOIN LATERAL (
          SELECT event_id FROM events
          WHERE events.room_nid = r.room_nid AND events.event_nid = c.event_nid LIMIT 1
        ) e
      ) current
      WHERE r.version IS NOT NULL AND current.state IS NOT NULL`,
    values: [roomNids, maxEntries + 1],
  });
  return rows;
};
