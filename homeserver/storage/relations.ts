/**
 * Reading the table `event_relations`. A relation counts while its event is in the timeline and not
 * redacted.
 */
import type { EventId, UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { type EventRecord, eventColumns, type TimelinePlace } from './events.ts';

const counts = `e.stream_pos IS NOT NULL AND e.redacted_by_nid IS NULL
  AND e.rejected_reason IS NULL AND NOT e.soft_failed`;

export interface RelationQuery {
  readonly roomNid: number;
  readonly parentId: EventId;
  readonly relType: string | undefined;
  readonly eventType: string | undefined;
  /** Levels of relations followed; 1 for direct ones. */
  readonly depth: number;
  readonly after: TimelinePlace;
  readonly upTo: TimelinePlace;
  readonly direction: 'backwards' | 'forwards';
  readonly limit: number;
}

/** Relations followed for one answer: beyond, the tree is cut. */
const maxFollowed = 10_000;

/** Events relating to another with `after < place <= upTo`, in the direction asked for. */
export const relatingEvents = async (db: Db, query: RelationQuery): Promise<EventRecord[]> => {
  const order = query.direction === 'backwards' ? 'DESC' : 'ASC';
  const { rows } = await db.query<EventRecord>({
    name: `relating-events-${query.direction}`,
    text: `WITH RECURSIVE related (event_nid, event_id, level) AS (
        SELECT x.event_nid, e.event_id, 1 FROM event_relations x
        JOIN events e ON e.room_nid = x.room_nid AND e.event_nid = x.event_nid
        WHERE x.room_nid = $1 AND x.parent_id = $2 AND ${counts}
        UNION
        SELECT x.event_nid, e.event_id, p.level + 1 FROM related p
        JOIN event_relations x ON x.room_nid = $1 AND x.parent_id = p.event_id
        JOIN events e ON e.room_nid = x.room_nid AND e.event_nid = x.event_nid
        WHERE p.level < $3 AND ${counts}
      )
      SELECT ${eventColumns} FROM (SELECT DISTINCT event_nid FROM
          (SELECT event_nid FROM related LIMIT ${maxFollowed}) found) related
      JOIN event_relations x ON x.room_nid = $1 AND x.event_nid = related.event_nid
      JOIN events e ON e.room_nid = $1 AND e.event_nid = related.event_nid
      JOIN rooms r ON r.room_nid = $1
      WHERE ($4::text IS NULL OR x.rel_type = $4) AND ($5::text IS NULL OR x.type = $5)
        AND (e.stream_pos, e.backfill_pos) > ($6, $7)
        AND (e.stream_pos, e.backfill_pos) <= ($8, $9)
      ORDER BY e.stream_pos ${order}, e.backfill_pos ${order} LIMIT $10`,
    values: [
      query.roomNid,
      query.parentId,
      query.depth,
      query.relType ?? null,
      query.eventType ?? null,
      query.after.streamPos,
      query.after.backfillPos,
      query.upTo.streamPos,
      query.upTo.backfillPos,
      query.limit,
    ],
  });
  return rows;
};

/** Which of these events others relate to, redacted ones perhaps included. */
export const relatedParents = async (
  db: Db,
  events: readonly { readonly roomNid: number; readonly eventId: EventId }[],
): Promise<Set<EventId>> => {
  const { rows } = await db.query<{ parent_id: EventId }>({
    name: 'related-parents',
    text: `SELECT w.parent_id FROM unnest($1::bigint[], $2::text[]) AS w (room_nid, parent_id)
      WHERE EXISTS (SELECT 1 FROM event_relations x
        WHERE x.room_nid = w.room_nid AND x.parent_id = w.parent_id)`,
    values: [events.map(({ roomNid }) => roomNid), events.map(({ eventId }) => eventId)],
  });
  return new Set(rows.map((row) => row.parent_id));
};

/** For whom: events of ignored users do not count, nor anything outside of `window`. */
export interface RelationsViewer {
  readonly userId: UserId;
  readonly ignored: readonly UserId[];
  /** Events with `after < position <= upTo`, of history fetched later only where not `liveOnly`. */
  readonly window: { readonly after: number; readonly upTo: number; readonly liveOnly: boolean };
}

const windowValues = ({ window }: RelationsViewer) => [window.after, window.upTo, window.liveOnly];

export interface ThreadSummary {
  readonly parentId: EventId;
  readonly count: number;
  /** Whether the viewer is the sender of an event in the thread. */
  readonly participated: boolean;
  readonly latestNid: number;
}

export const threadSummaries = async (
  db: Db,
  roomNid: number,
  parentIds: readonly EventId[],
  viewer: RelationsViewer,
): Promise<ThreadSummary[]> => {
  const { rows } = await db.query<{
    parent_id: EventId;
    count: number;
    participated: boolean;
    latest: number;
  }>({
    name: 'thread-summaries',
    text: `SELECT x.parent_id, count(*)::int8 AS count, bool_or(x.sender = $3) AS participated,
        (array_agg(x.event_nid ORDER BY e.stream_pos DESC, e.backfill_pos DESC))[1] AS latest
      FROM event_relations x JOIN events e USING (room_nid, event_nid)
      WHERE x.room_nid = $1 AND x.parent_id = ANY($2::text[]) AND x.rel_type = 'm.thread'
        AND x.sender <> ALL($4::text[]) AND e.stream_pos > $5 AND e.stream_pos <= $6
        AND (NOT $7 OR e.backfill_pos = 0) AND ${counts}
      GROUP BY x.parent_id`,
    values: [roomNid, parentIds, viewer.userId, viewer.ignored, ...windowValues(viewer)],
  });
  return rows.map((row) => ({
    parentId: row.parent_id,
    count: row.count,
    participated: row.participated,
    latestNid: row.latest,
  }));
};

/** The newest edits of each event by its sender, at most `limit` of each, newest first. */
export const newestEdits = async (
  db: Db,
  roomNid: number,
  parentIds: readonly EventId[],
  viewer: RelationsViewer,
  limit: number,
): Promise<{ parentId: EventId; eventNid: number }[]> => {
  const { rows } = await db.query<{ parent_id: EventId; event_nid: number }>({
    name: 'newest-edits',
    text: `SELECT w.parent_id, edit.event_nid FROM unnest($2::text[]) AS w (parent_id)
      JOIN events p ON text_key(p.event_id) = text_key(w.parent_id) AND p.room_nid = $1
        AND p.event_id = w.parent_id
      CROSS JOIN LATERAL (
        SELECT x.event_nid, e.origin_server_ts, e.event_id
        FROM event_relations x JOIN events e USING (room_nid, event_nid)
        WHERE x.room_nid = $1 AND x.parent_id = w.parent_id AND x.rel_type = 'm.replace'
          AND x.sender = p.sender AND x.type = p.type
          AND x.sender <> ALL($3::text[]) AND e.stream_pos > $4 AND e.stream_pos <= $5
          AND (NOT $6 OR e.backfill_pos = 0) AND ${counts}
        ORDER BY e.origin_server_ts DESC, e.event_id COLLATE "C" DESC LIMIT $7
      ) edit
      ORDER BY w.parent_id, edit.origin_server_ts DESC, edit.event_id COLLATE "C" DESC`,
    values: [roomNid, parentIds, viewer.ignored, ...windowValues(viewer), limit],
  });
  return rows.map((row) => ({ parentId: row.parent_id, eventNid: row.event_nid }));
};

/** The events that refer to each event, oldest first, at most `limit` of each. */
export const references = async (
  db: Db,
  roomNid: number,
  parentIds: readonly EventId[],
  viewer: RelationsViewer,
  limit: number,
): Promise<Map<EventId, EventId[]>> => {
  const { rows } = await db.query<{ parent_id: EventId; event_id: EventId }>({
    name: 'event-references',
    text: `SELECT w.parent_id, ref.event_id FROM unnest($2::text[]) AS w (parent_id)
      CROSS JOIN LATERAL (
        SELECT e.event_id, e.stream_pos, e.backfill_pos
        FROM event_relations x JOIN events e USING (room_nid, event_nid)
        WHERE x.room_nid = $1 AND x.parent_id = w.parent_id AND x.rel_type = 'm.reference'
          AND x.sender <> ALL($3::text[]) AND e.stream_pos > $4 AND e.stream_pos <= $5
          AND (NOT $6 OR e.backfill_pos = 0) AND ${counts}
        ORDER BY e.stream_pos, e.backfill_pos LIMIT $7
      ) ref
      ORDER BY w.parent_id, ref.stream_pos, ref.backfill_pos`,
    values: [roomNid, parentIds, viewer.ignored, ...windowValues(viewer), limit],
  });
  const found = new Map<EventId, EventId[]>();
  for (const { parent_id: parentId, event_id: eventId } of rows) {
    const others = found.get(parentId);
    if (others === undefined) found.set(parentId, [eventId]);
    else others.push(eventId);
  }
  return found;
};

/**
 * The roots of a room's threads whose newest event has `place < before`, that newest event's place,
 * newest first.
 */
export const threadRoots = async (
  db: Db,
  roomNid: number,
  viewer: RelationsViewer,
  participatedOnly: boolean,
  before: TimelinePlace,
  limit: number,
): Promise<{ rootId: EventId; place: TimelinePlace }[]> => {
  const { rows } = await db.query<{
    parent_id: EventId;
    stream_pos: number;
    backfill_pos: number;
  }>({
    name: 'thread-roots',
    text: `SELECT t.parent_id, t.stream_pos, t.backfill_pos FROM (
        SELECT DISTINCT ON (x.parent_id) x.parent_id, e.stream_pos, e.backfill_pos
        FROM event_relations x JOIN events e USING (room_nid, event_nid)
        WHERE x.room_nid = $1 AND x.rel_type = 'm.thread'
          AND x.sender <> ALL($2::text[]) AND e.stream_pos > $3 AND e.stream_pos <= $4
          AND (NOT $5 OR e.backfill_pos = 0) AND ${counts}
        ORDER BY x.parent_id, e.stream_pos DESC, e.backfill_pos DESC
      ) t
      JOIN events root ON text_key(root.event_id) = text_key(t.parent_id) AND root.room_nid = $1
        AND root.event_id = t.parent_id
      WHERE (t.stream_pos, t.backfill_pos) < ($6, $7) AND root.stream_pos IS NOT NULL
        AND (NOT $8 OR root.sender = $9 OR EXISTS (
          SELECT 1 FROM event_relations mine JOIN events e USING (room_nid, event_nid)
          WHERE mine.room_nid = $1 AND mine.parent_id = t.parent_id
            AND mine.rel_type = 'm.thread' AND mine.sender = $9 AND ${counts}))
      ORDER BY t.stream_pos DESC, t.backfill_pos DESC LIMIT $10`,
    values: [
      roomNid,
      viewer.ignored,
      ...windowValues(viewer),
      before.streamPos,
      before.backfillPos,
      participatedOnly,
      viewer.userId,
      limit,
    ],
  });
  return rows.map((row) => ({
    rootId: row.parent_id,
    place: { streamPos: row.stream_pos, backfillPos: row.backfill_pos },
  }));
};

/** A user's annotations of an event with one type of event. */
export const annotationsBy = async (
  db: Db,
  roomNid: number,
  parentId: EventId,
  sender: UserId,
  type: string,
): Promise<number[]> => {
  const { rows } = await db.query<{ event_nid: number }>({
    name: 'annotations-by',
    text: `SELECT x.event_nid FROM event_relations x JOIN events e USING (room_nid, event_nid)
      WHERE x.room_nid = $1 AND x.parent_id = $2 AND x.rel_type = 'm.annotation'
        AND x.sender = $3 AND x.type = $4 AND ${counts} LIMIT 1000`,
    values: [roomNid, parentId, sender, type],
  });
  return rows.map((row) => row.event_nid);
};
