/** Gaps in a room's timeline: events named by prev_events that this server does not have. */
import type { EventId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import type { TimelinePlace } from './events.ts';

export interface Gap {
  /** The event after the gap, which names the missing ones. */
  readonly eventId: EventId;
  readonly place: TimelinePlace;
  readonly missing: readonly EventId[];
}

/** The gap nearest below `from`, with the event after it at `downTo <= place <= from`. */
export const nearestGap = async (
  db: Db,
  roomNid: number,
  downTo: TimelinePlace,
  from: TimelinePlace,
): Promise<Gap | undefined> => {
  const { rows } = await db.query<{
    event_id: EventId;
    stream_pos: number;
    backfill_pos: number;
    missing: EventId[];
  }>({
    name: 'nearest-gap',
    text: `SELECT e.event_id, e.stream_pos, e.backfill_pos, array_agg(m.event_id) AS missing
      FROM missing_prev_events m
      JOIN events e ON e.room_nid = m.room_nid AND e.event_nid = m.referenced_by_nid
      WHERE m.room_nid = $1 AND e.stream_pos IS NOT NULL
        AND (e.stream_pos, e.backfill_pos) >= ($2, $3)
        AND (e.stream_pos, e.backfill_pos) <= ($4, $5)
      GROUP BY e.event_id, e.stream_pos, e.backfill_pos
      ORDER BY e.stream_pos DESC, e.backfill_pos DESC LIMIT 1`,
    values: [roomNid, downTo.streamPos, downTo.backfillPos, from.streamPos, from.backfillPos],
  });
  const row = rows[0];
  return (
    row && {
      eventId: row.event_id,
      place: { streamPos: row.stream_pos, backfillPos: row.backfill_pos },
      missing: row.missing,
    }
  );
};

/**
 * The newest gap of each room whose event after it has `after < position <= upTo`: that event's place.
 * Rooms without one are left out.
 */
export const newestGaps = async (
  db: Db,
  roomNids: readonly number[],
  after: number,
  upTo: number,
): Promise<Map<number, TimelinePlace>> => {
  const { rows } = await db.query<{
    room_nid: number;
    stream_pos: number;
    backfill_pos: number;
  }>({
    name: 'newest-gaps',
    // Row by row through the keys, whatever the planner takes the tables to hold.
    text: `SELECT wanted.room_nid, newest.stream_pos, newest.backfill_pos
      FROM unnest($1::bigint[]) AS wanted (room_nid)
      CROSS JOIN LATERAL (
        SELECT e.stream_pos, e.backfill_pos FROM missing_prev_events m
        CROSS JOIN LATERAL (
          SELECT stream_pos, backfill_pos FROM events
          WHERE events.room_nid = m.room_nid AND event_nid = m.referenced_by_nid
            AND stream_pos > $2 AND stream_pos <= $3
            AND rejected_reason IS NULL AND NOT soft_failed LIMIT 1
        ) e
        WHERE m.room_nid = wanted.room_nid
        ORDER BY e.stream_pos DESC, e.backfill_pos DESC LIMIT 1
      ) newest`,
    values: [roomNids, after, upTo],
  });
  return new Map(
    rows.map((row) => [row.room_nid, { streamPos: row.stream_pos, backfillPos: row.backfill_pos }]),
  );
};

/**
 * A room's missing events, those named last as far as a bound that no honest room comes near, and
 * whether an accepted event names them.
 */
export const missingPrevEvents = async (
  db: Db,
  roomNid: number,
): Promise<Map<EventId, boolean>> => {
  const { rows } = await db.query<{ event_id: EventId; by_accepted: boolean }>({
    name: 'missing-prev-events',
    text: `SELECT m.event_id, bool_or(e.rejected_reason IS NULL AND NOT e.soft_failed) AS by_accepted
      FROM missing_prev_events m
      JOIN events e ON e.room_nid = m.room_nid AND e.event_nid = m.referenced_by_nid
      WHERE m.room_nid = $1
      GROUP BY m.event_id ORDER BY max(m.referenced_by_nid) DESC LIMIT 10000`,
    values: [roomNid],
  });
  return new Map(rows.map((row) => [row.event_id, row.by_accepted]));
};

/** The lowest place above `floor` taken at a live event's position; undefined while there is none. */
export const lowestBackfillPos = async (
  db: Db,
  roomNid: number,
  streamPos: number,
  floor: number,
): Promise<number | undefined> => {
  const { rows } = await db.query<{ lowest: number | null }>({
    name: 'lowest-backfill-pos',
    text: `SELECT min(backfill_pos) AS lowest FROM events
      WHERE room_nid = $1 AND stream_pos = $2 AND backfill_pos > $3`,
    values: [roomNid, streamPos, floor],
  });
  return rows[0]?.lowest ?? undefined;
};

/** The highest place below `ceiling` taken at a live event's position; undefined if there is none. */
export const backfillPosBelow = async (
  db: Db,
  roomNid: number,
  streamPos: number,
  ceiling: number,
): Promise<number | undefined> => {
  const { rows } = await db.query<{ highest: number | null }>({
    name: 'backfill-pos-below',
    text: `SELECT max(backfill_pos) AS highest FROM events
      WHERE room_nid = $1 AND stream_pos = $2 AND backfill_pos < $3`,
    values: [roomNid, streamPos, ceiling],
  });
  return rows[0]?.highest ?? undefined;
};
