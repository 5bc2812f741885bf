/** Reading events. Writing is the log's: event-section.ts. */
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { packedJsonColumns } from './packed-json.ts';
import { keysOf } from './text-keys.ts';

/** A row of `events` with the name of its room. */
export interface EventRecord {
  event_nid: number;
  room_nid: number;
  room_id: RoomId;
  event_id: EventId;
  stream_pos: number | null;
  backfill_pos: number;
  snapshot_before: number | null;
  snapshot_after: number | null;
  current_snapshot: number | null;
  replaces_nid: number | null;
  rejected_reason: string | null;
  soft_failed: boolean;
  redacted_by_nid: number | null;
  sender_device: string | null;
  txn_id: string | null;
  /** See packed-json.ts. */
  packed_json: string;
}

/** Of a row `e` of events with its room `r`. */
export const eventColumns = `e.event_nid, e.room_nid, r.room_id, e.event_id, e.stream_pos, e.backfill_pos,
  e.snapshot_before, e.snapshot_after, e.current_snapshot, e.replaces_nid, e.rejected_reason,
  e.soft_failed, e.redacted_by_nid, e.sender_device, e.txn_id,
  ${packedJsonColumns} AS packed_json`;

/**
 * The events `e` of rows `wanted` with a `room_nid` and an `event_nid`: one by one through the key, so
 * that no plan reads the whole table for them.
 */
export const eachWanted = `CROSS JOIN LATERAL (
        SELECT * FROM events WHERE events.room_nid = wanted.room_nid
          AND events.event_nid = wanted.event_nid LIMIT 1
      ) e`;

/** In no particular order; absent ones are left out. */
export const eventsByNid = async (
  db: Db,
  roomNid: number,
  nids: readonly number[],
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'events-by-nid',
    text: `SELECT ${eventColumns} FROM events e JOIN rooms r USING (room_nid)
      WHERE e.room_nid = $1 AND e.event_nid = ANY($2::bigint[])`,
    values: [roomNid, nids],
  });
  return rows;
};

/** Like `eventsByNid`, of many rooms: the two lists go together. */
export const eventsOfRooms = async (
  db: Db,
  roomNids: readonly number[],
  nids: readonly number[],
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'events-of-rooms',
    text: `SELECT ${eventColumns} FROM unnest($1::bigint[], $2::bigint[])
        AS wanted (room_nid, event_nid)
      JOIN rooms r USING (room_nid)
      ${eachWanted}`,
    values: [roomNids, nids],
  });
  return rows;
};

/** In no particular order; absent ones are left out. Uses index events_event_id. */
export const eventsById = async (db: Db, eventIds: readonly EventId[]): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'events-by-id',
    text: `SELECT ${eventColumns} FROM events e JOIN rooms r USING (room_nid)
      WHERE text_key(e.event_id) = ANY(${keysOf('$1')}) AND e.event_id = ANY($1::text[])`,
    values: [eventIds],
  });
  return rows;
};

/** Like `eventsById`, of one room. Uses index events_event_id. */
export const eventsByIdInRoom = async (
  db: Db,
  roomNid: number,
  eventIds: readonly EventId[],
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'events-by-id-in-room',
    text: `SELECT ${eventColumns} FROM events e JOIN rooms r USING (room_nid)
      WHERE text_key(e.event_id) = ANY(${keysOf('$2')}) AND e.room_nid = $1
        AND e.event_id = ANY($2::text[])`,
    values: [roomNid, eventIds],
  });
  return rows;
};

/** A place in a room's timeline: between the event at this place and the next. */
export interface TimelinePlace {
  readonly streamPos: number;
  readonly backfillPos: number;
}

/**
 * Timeline events with `after < place <= upTo`, nearest to `upTo` first when `backwards`, nearest to
 * `after` first otherwise. Rejected and soft-failed events are not in the timeline. Uses index
 * events_timeline.
 */
export const timelineBetween = async (
  db: Db,
  roomNid: number,
  after: TimelinePlace,
  upTo: TimelinePlace,
  direction: 'backwards' | 'forwards',
  limit: number,
): Promise<EventRecord[]> => {
  const order = direction === 'backwards' ? 'DESC' : 'ASC';
  const { rows } = await db.query<EventRecord>({
    name: `timeline-${direction}`,
    text: `SELECT ${eventColumns} FROM events e JOIN rooms r USING (room_nid)
      WHERE e.room_nid = $1 AND e.stream_pos IS NOT NULL
        AND (e.stream_pos, e.backfill_pos) > ($2, $3)
        AND (e.stream_pos, e.backfill_pos) <= ($4, $5)
        AND e.rejected_reason IS NULL AND NOT e.soft_failed
      ORDER BY e.stream_pos ${order}, e.backfill_pos ${order} LIMIT $6`,
    values: [roomNid, after.streamPos, after.backfillPos, upTo.streamPos, upTo.backfillPos, limit],
  });
  return rows;
};

/**
 * The last `limit` timeline events of each room at or below a position, in timeline order, and
 * whether there are earlier ones within `after < place`.
 */
export const latestByRoom = async (
  db: Db,
  roomNids: readonly number[],
  upToPos: number,
  limit: number,
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'timeline-latest-by-room',
    text: `SELECT ${eventColumns} FROM unnest($1::bigint[]) AS wanted (room_nid)
      JOIN rooms r USING (room_nid)
      CROSS JOIN LATERAL (
        SELECT * FROM events WHERE events.room_nid = wanted.room_nid
          AND stream_pos IS NOT NULL AND stream_pos <= $2
          AND rejected_reason IS NULL AND NOT soft_failed
        ORDER BY stream_pos DESC, backfill_pos DESC LIMIT $3
      ) e
      ORDER BY e.room_nid, e.stream_pos, e.backfill_pos`,
    values: [roomNids, upToPos, limit],
  });
  return rows;
};

/**
 * The newest `limit` live timeline events with `after < position < before` over all these rooms that
 * others have sent, newest first. Uses index events_timeline: the bounds are compared as places, and
 * "live" is written as an inequality, because an equality would invite the planner to read the whole
 * log for each room.
 */
export const newestOfOthers = async (
  db: Db,
  sender: string,
  rooms: readonly { roomNid: number; after: number }[],
  before: number,
  limit: number,
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'newest-of-others',
    text: `SELECT ${eventColumns} FROM (
        SELECT found.room_nid, found.event_nid
        FROM unnest($1::bigint[], $2::bigint[]) AS wanted (room_nid, after)
        CROSS JOIN LATERAL (
          SELECT room_nid, event_nid, stream_pos FROM events
          WHERE events.room_nid = wanted.room_nid AND stream_pos IS NOT NULL
            AND (stream_pos, backfill_pos) > (wanted.after, 0)
            AND (stream_pos, backfill_pos) < ($3, 0)
            AND backfill_pos >= 0 AND sender <> $4
            AND rejected_reason IS NULL AND NOT soft_failed
          ORDER BY stream_pos DESC, backfill_pos DESC LIMIT $5
        ) found
        ORDER BY found.stream_pos DESC LIMIT $5
      ) newest
      JOIN events e USING (room_nid, event_nid) JOIN rooms r USING (room_nid)
      ORDER BY e.stream_pos DESC`,
    values: [
      rooms.map(({ roomNid }) => roomNid),
      rooms.map(({ after }) => after),
      before,
      sender,
      limit,
    ],
  });
  return rows;
};

/** Which of these rooms have live events with `after < position <= upTo`. */
export const roomsChangedBetween = async (
  db: Db,
  roomNids: readonly number[],
  after: number,
  upTo: number,
): Promise<Set<number>> => {
  const { rows } = await db.query<{ room_nid: number }>({
    name: 'rooms-changed-between',
    text: `SELECT wanted.room_nid FROM unnest($1::bigint[]) AS wanted (room_nid)
      WHERE EXISTS (
        SELECT 1 FROM events WHERE events.room_nid = wanted.room_nid
          AND stream_pos > $2 AND stream_pos <= $3
      )`,
    values: [roomNids, after, upTo],
  });
  return new Set(rows.map((row) => row.room_nid));
};

/** The room's current state as of a position: the snapshot after its last live event up to there. */
export const currentSnapshotAt = async (
  db: Db,
  roomNid: number,
  upTo: number,
): Promise<number | undefined> => {
  const { rows } = await db.query<{ current_snapshot: number }>({
    name: 'current-snapshot-at',
    text: `SELECT current_snapshot FROM events
      WHERE room_nid = $1 AND stream_pos <= $2 AND current_snapshot IS NOT NULL
      ORDER BY stream_pos DESC, backfill_pos DESC LIMIT 1`,
    values: [roomNid, upTo],
  });
  return rows[0]?.current_snapshot;
};

/**
 * Timeline events of a room nearest to a time, those at it included, nearest first: not before it
 * when `forwards`, not after it otherwise. Uses index events_times.
 */
export const eventsNearTime = async (
  db: Db,
  roomNid: number,
  timestampMs: number,
  direction: 'backwards' | 'forwards',
  { limit, offset }: { readonly limit: number; readonly offset: number },
): Promise<EventRecord[]> => {
  const [comparison, order] = direction === 'forwards' ? ['>=', 'ASC'] : ['<=', 'DESC'];
  const { rows } = await db.query<EventRecord>({
    name: `events-near-time-${direction}`,
    text: `SELECT ${eventColumns} FROM events e JOIN rooms r USING (room_nid)
      WHERE e.room_nid = $1 AND e.stream_pos IS NOT NULL
        AND e.origin_server_ts / 3600000 ${comparison} $2::bigint / 3600000
        AND e.origin_server_ts ${comparison} $2
        AND e.rejected_reason IS NULL AND NOT e.soft_failed
      ORDER BY e.origin_server_ts / 3600000 ${order}, e.origin_server_ts ${order}, e.stream_pos ${order}, e.backfill_pos ${order}
      LIMIT $3 OFFSET $4`,
    values: [roomNid, timestampMs, limit, offset],
  });
  return rows;
};
