/** The log of live events, across all rooms, for its readers. */
import type { Db } from './database.ts';

export interface LiveEventRecord {
  event_nid: number;
  room_nid: number;
  stream_pos: number;
}

/**
 * Live events with `after < position <= upTo`, in order. Refused ones are left out, so a full page is
 * one with `limit` events. Uses index events_stream.
 */
export const liveEventsBetween = async (
  db: Db,
  after: number,
  upTo: number,
  limit: number,
): Promise<LiveEventRecord[]> => {
  const { rows } = await db.query<LiveEventRecord>({
    name: 'live-events-between',
    text: `SELECT event_nid, room_nid, stream_pos FROM events
      WHERE stream_pos > $1 AND stream_pos <= $2 AND backfill_pos = 0
        AND rejected_reason IS NULL AND NOT soft_failed
      ORDER BY stream_pos LIMIT $3`,
    values: [after, upTo, limit],
  });
  return rows;
};
