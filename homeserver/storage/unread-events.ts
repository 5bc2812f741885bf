/** Reading what unread counts are made of: by the marks of push/push-mark.ts, events only if need be. */
import { booleanArray, numberArray } from './array-parameters.ts';
import type { Db } from './database.ts';
import { type EventRecord, eventColumns } from './events.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';
import { stateEntryKey } from './text-keys.ts';

/** A stretch of a room's log, `after < position <= upTo`. */
export interface UnreadRange {
  readonly roomNid: number;
  readonly after: number;
  readonly upTo: number;
}

const rangeValues = (ranges: readonly UnreadRange[]): unknown[] => [
  numberArray(ranges, ({ roomNid }) => roomNid),
  numberArray(ranges, ({ after }) => after),
  numberArray(ranges, ({ upTo }) => upTo),
];

// Places are compared as wholes, and "live" is an inequality: see `newestOfOthers`.
const within = `events.room_nid = wanted.room_nid AND stream_pos IS NOT NULL
  AND (stream_pos, backfill_pos) > (wanted.after, 0)
  AND (stream_pos, backfill_pos) <= (wanted.up_to, 0) AND backfill_pos >= 0`;

/**
 * The newest `limit` live events of each stretch that have to be looked at, by room and in log order:
 * those that the rules judge for each person, those whose sender has one of these tags, and those
 * stored without a mark; of a room in `whole`, all. Uses index events_timeline, and the table for what
 * is found.
 */
export const eventsToJudge = async (
  db: Db,
  ranges: readonly (UnreadRange & { readonly whole: boolean })[],
  tags: readonly number[],
  limit: number,
): Promise<EventRecord[]> => {
  const { rows } = await db.query<EventRecord>({
    name: 'unread-events-to-judge',
    text: `SELECT ${eventColumns}
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
        AS wanted (room_nid, after, up_to, whole)
      JOIN rooms r USING (room_nid)
      CROSS JOIN LATERAL (
        SELECT stream_pos FROM events WHERE ${within}
          AND (push_mark IS NULL OR push_mark & 3 = 2 OR wanted.whole
            OR push_mark >> 2 = ANY($5::int[]))
          AND push_mark & 3 IS DISTINCT FROM 3
        ORDER BY stream_pos DESC, backfill_pos DESC LIMIT $6
      ) found
      -- One by one, whatever the planner takes the size of the room to be.
      CROSS JOIN LATERAL (
        SELECT * FROM events WHERE events.room_nid = wanted.room_nid
          AND stream_pos = found.stream_pos AND backfill_pos = 0
          AND rejected_reason IS NULL AND NOT soft_failed LIMIT 1
      ) e
      ORDER BY e.room_nid, e.stream_pos`,
    values: [...rangeValues(ranges), booleanArray(ranges, ({ whole }) => whole), tags, limit],
  });
  return rows;
};

export interface PlainCount {
  readonly count: number;
  readonly firstPos: number;
  readonly lastPos: number;
}

/** What the newest marked events of a stretch come to. */
export interface MarkedCount {
  /** Those that notify everybody; undefined: none. */
  readonly plain: PlainCount | undefined;
  /** Those that have to be looked at. */
  readonly toJudge: number;
}

/**
 * Of each stretch the newest `limit` events that `plainCounts` counts or `eventsToJudge` finds, by room:
 * where they are fewer, one look at the index tells all. Rooms without any have no entry. Uses index
 * events_timeline alone.
 */
export const markedCounts = async (
  db: Db,
  ranges: readonly UnreadRange[],
  tags: readonly number[],
  limit: number,
): Promise<Map<number, MarkedCount>> => {
  const { rows } = await db.query<CountRecord & { marked: number }>({
    name: 'unread-marked-counts',
    text: `SELECT wanted.room_nid, counted.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
        AS wanted (room_nid, after, up_to)
      CROSS JOIN LATERAL (
        SELECT count(*) AS marked, count(*) FILTER (WHERE is_plain) AS count,
          min(stream_pos) FILTER (WHERE is_plain) AS first_pos,
          max(stream_pos) FILTER (WHERE is_plain) AS last_pos
        FROM (
          SELECT stream_pos, push_mark & 3 = 1 AND push_mark >> 2 <> ALL($4::int[]) AS is_plain
          FROM events WHERE ${within}
            AND (push_mark IS NULL OR push_mark & 3 IN (1, 2) OR push_mark >> 2 = ANY($4::int[]))
            AND push_mark & 3 IS DISTINCT FROM 3
          ORDER BY stream_pos DESC, backfill_pos DESC LIMIT $5
        ) found
      ) counted
      WHERE counted.marked > 0`,
    values: [...rangeValues(ranges), tags, limit],
  });
  return new Map(
    rows.map((row) => {
      const plain = countFrom(row);
      const toJudge = row.marked - plain.count;
      return [row.room_nid, { plain: plain.count === 0 ? undefined : plain, toJudge }];
    }),
  );
};

interface CountRecord {
  room_nid: number;
  count: number;
  first_pos: number;
  last_pos: number;
}

const countFrom = (row: CountRecord): PlainCount => ({
  count: row.count,
  firstPos: row.first_pos,
  lastPos: row.last_pos,
});

/**
 * How many live events of each stretch notify everybody, by room; counted no further back than the
 * newest `limit`. Events of senders with these tags are left out. Rooms without any have no entry.
 * Uses index events_timeline alone.
 */
export const plainCounts = async (
  db: Db,
  ranges: readonly UnreadRange[],
  tags: readonly number[],
  limit: number,
): Promise<Map<number, PlainCount>> => {
  const { rows } = await db.query<CountRecord>({
    name: 'unread-plain-counts',
    text: `SELECT wanted.room_nid, counted.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
        AS wanted (room_nid, after, up_to)
      CROSS JOIN LATERAL (
        SELECT count(*) AS count, min(stream_pos) AS first_pos, max(stream_pos) AS last_pos
        FROM (
          SELECT stream_pos FROM events WHERE ${within}
            AND push_mark & 3 = 1 AND push_mark >> 2 <> ALL($4::int[])
          ORDER BY stream_pos DESC, backfill_pos DESC LIMIT $5
        ) plain
      ) counted
      WHERE counted.count > 0`,
    values: [...rangeValues(ranges), tags, limit],
  });
  return new Map(rows.map((row) => [row.room_nid, countFrom(row)]));
};

export interface PushRoomRecord {
  room_nid: number;
  version: string;
  joined: number;
  /** JSON of the state events that rules ask about, where the room has them. */
  power_levels: string | null;
  create: string | null;
  member: string | null;
}

/** What push rules ask of these rooms, with one person's own member event. */
export const pushRooms = async (
  db: Db,
  userId: string,
  roomNids: readonly number[],
): Promise<PushRoomRecord[]> => {
  const { rows } = await db.query<PushRoomRecord>({
    name: 'push-rooms',
    text: `SELECT r.room_nid, r.version, h.joined,
        state.power_levels, state.create, state.member
      FROM rooms r JOIN room_heads h USING (room_nid)
      CROSS JOIN LATERAL (
        SELECT max(${packedJsonColumns}) FILTER (WHERE c.type = 'm.room.power_levels') AS power_levels,
          max(${packedJsonColumns}) FILTER (WHERE c.type = 'm.room.create') AS create,
          max(${packedJsonColumns}) FILTER (WHERE c.type = 'm.room.member') AS member
        FROM (VALUES ('m.room.power_levels', ''), ('m.room.create', ''), ('m.room.member', $1))
          AS asked (type, state_key)
        JOIN current_state c ON c.room_nid = r.room_nid AND c.type = asked.type
          AND c.state_key = asked.state_key
          AND ${stateEntryKey('c.type', 'c.state_key')} = ${stateEntryKey('asked.type', 'asked.state_key')}
        JOIN events e ON e.room_nid = c.room_nid AND e.event_nid = c.event_nid
      ) state
      WHERE r.room_nid = ANY($2::bigint[])`,
    values: [userId, roomNids],
  });
  return rows.map((row) => ({
    ...row,
    power_levels: row.power_levels && unpackedJson(row.power_levels),
    create: row.create && unpackedJson(row.create),
    member: row.member && unpackedJson(row.member),
  }));
};
