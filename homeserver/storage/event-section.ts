/**
 * The log section of room events: events, heads, snapshots and what is kept beside them at write
 * time, all in one statement, so that a message costs one round trip and one commit.
 */
import type { LogSection } from '../streams/log-batch.ts';
import { booleanArray, braces, numberArray, records, textArray } from './array-parameters.ts';
import type { Statement } from './database.ts';
import { packedJson } from './packed-json.ts';
import { packedNids } from './packed-nids.ts';
import type { EventRow, RoomWrite } from './room-write.ts';
import { hasExtras, writeExtras } from './room-write-extras.ts';
import { stateEntryKey } from './text-keys.ts';

export type {
  EventRow,
  RoomWrite,
  SnapshotRow,
  StateChangeRow,
  UserRoomRow,
} from './room-write.ts';

/** Takes five parameters, of which this is the first. */
const headsCte = (first: number): string => `heads AS (
    INSERT INTO room_heads (room_nid, extremities, snapshot_nid, joined, invited)
    SELECT h.room_nid, h.extremities::bigint[], h.snapshot_nid, h.joined, h.invited
    FROM unnest($${first}::bigint[], $${first + 1}::text[], $${first + 2}::bigint[],
        $${first + 3}::int[], $${first + 4}::int[])
      AS h (room_nid, extremities, snapshot_nid, joined, invited)
    ON CONFLICT (room_nid) DO UPDATE
      SET extremities = EXCLUDED.extremities, snapshot_nid = EXCLUDED.snapshot_nid,
        joined = EXCLUDED.joined, invited = EXCLUDED.invited
  )`;

/**
 * What most writes are: messages in their place in the timeline, whose rooms have one state before
 * and after. It names half as many columns as the general statement.
 */
const plainMessages = `WITH
  input AS MATERIALIZED (
    SELECT e.*, nextval('stream_positions') AS stream_pos
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[],
        $7::bigint[], $8::bigint[], $9::boolean[], $10::text[], $11::text[],
        string_to_array($12, E'\\x1e'), $13::int[])
      AS e (room_nid, event_nid, event_id, type, sender, depth, origin_server_ts, snapshot,
        relayed, sender_device, txn_id, json, push_mark)
  ),
  written AS (
    INSERT INTO events (room_nid, event_nid, event_id, type, sender, depth, origin_server_ts,
      stream_pos, backfill_pos, snapshot_before, snapshot_after, current_snapshot, soft_failed,
      relayed, sender_device, txn_id, json, push_mark)
    SELECT room_nid, event_nid, event_id, type, sender, depth, origin_server_ts, stream_pos, 0,
      snapshot, snapshot, snapshot, false, relayed, sender_device, txn_id, json, push_mark
    FROM input
  ),
  ${headsCte(14)}
  SELECT array_agg(event_nid) AS nids, array_agg(stream_pos) AS positions FROM input`;

const eventsCte = (onConflict: string): string => `
  input AS MATERIALIZED (
    SELECT e.*, CASE WHEN e.place IN ('live', 'announced') THEN nextval('stream_positions')
      ELSE e.given_pos END AS stream_pos
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::boolean[],
        $19::boolean[], $20::text[], $21::text[], $22::text[],
        string_to_array($23, E'\\x1e'), $24::int[])
      AS e (room_nid, event_nid, event_id, type, state_key, membership, sender, depth,
        origin_server_ts, place, given_pos, backfill_pos, snapshot_before, snapshot_after,
        current_snapshot, replaces_nid, rejected_reason, soft_failed, relayed, sender_device,
        txn_id, txn_target, json, push_mark)
  ),
  written AS (
    INSERT INTO events AS stored (room_nid, event_nid, event_id, type, state_key, membership,
      sender, depth, origin_server_ts, stream_pos, backfill_pos, snapshot_before, snapshot_after,
      current_snapshot, replaces_nid, rejected_reason, soft_failed, relayed, sender_device,
        txn_id, txn_target, json, push_mark)
    SELECT room_nid, event_nid, event_id, type, state_key, membership, sender, depth,
      origin_server_ts, CASE WHEN place <> 'announced' THEN stream_pos END, backfill_pos,
      snapshot_before, snapshot_after, current_snapshot, replaces_nid, rejected_reason,
      soft_failed, relayed, sender_device, txn_id, txn_target, json, push_mark
    FROM input
    ${onConflict}
    RETURNING event_nid
  ),
  ${headsCte(25)}`;

/** Costs a second look at the index for every row, so it is left out where nothing needs it. */
const promoteOutliers = `-- An outlier that takes its place in the timeline keeps its row.
    ON CONFLICT (text_key(event_id), room_nid) DO UPDATE SET stream_pos = EXCLUDED.stream_pos,
      backfill_pos = EXCLUDED.backfill_pos, snapshot_before = EXCLUDED.snapshot_before,
      snapshot_after = EXCLUDED.snapshot_after, current_snapshot = EXCLUDED.current_snapshot,
      replaces_nid = EXCLUDED.replaces_nid,
      rejected_reason = EXCLUDED.rejected_reason, soft_failed = EXCLUDED.soft_failed,
      relayed = EXCLUDED.relayed, push_mark = EXCLUDED.push_mark
    WHERE stored.stream_pos IS NULL AND stored.event_nid = EXCLUDED.event_nid`;

const stateCte = `
  snapshots AS (
    INSERT INTO state_snapshots (room_nid, snapshot_nid, height, below, event_nids)
    SELECT * FROM unnest($30::bigint[], $31::bigint[], $32::int[], $33::text[], $34::text[])
    -- Two writes may both build on a state that neither knew to be stored.
    ON CONFLICT DO NOTHING
  ),
  changes AS MATERIALIZED (
    SELECT c.room_nid, input.stream_pos, c.event_nid, c.type, c.state_key, c.membership,
      c.event_nid <> 0 AND row_number() OVER (
        PARTITION BY c.room_nid, c.type, c.state_key ORDER BY c.ord DESC) = 1 AS is_current
    FROM unnest($35::bigint[], $36::bigint[], $37::text[], $38::text[], $39::bigint[], $40::text[])
      WITH ORDINALITY AS c (room_nid, caused_by, type, state_key, event_nid, membership, ord)
    JOIN input ON input.event_nid = c.caused_by
  ),
  replaced AS (
    UPDATE state_changes SET is_current = false WHERE ctid = ANY(ARRAY(
      SELECT s.place FROM changes c
      -- One by one through index state_changes_current, so that no plan reads the whole table.
      CROSS JOIN LATERAL (
        SELECT ctid AS place FROM state_changes s
        WHERE s.is_current AND s.room_nid = c.room_nid
          AND ${stateEntryKey('s.type', 's.state_key')} = ${stateEntryKey('c.type', 'c.state_key')}
          AND s.type = c.type AND s.state_key = c.state_key LIMIT 1
      ) s
    )) RETURNING 1
  ),
  changed AS (
    INSERT INTO state_changes (room_nid, stream_pos, event_nid, is_current, type, state_key,
      membership)
    SELECT room_nid, stream_pos, event_nid, is_current, type, state_key, membership FROM changes
    -- Always true; counted so that those are replaced first and no entry is ever current twice.
    WHERE (SELECT count(*) FROM replaced) >= 0
  ),
  users_set AS (
    INSERT INTO user_rooms AS kept (user_id, room_nid, membership, event_nid, stream_pos,
      membership_pos, stripped_state)
    SELECT DISTINCT ON (u.user_id, u.room_nid) u.user_id, u.room_nid, u.membership, u.event_nid,
      input.stream_pos, input.stream_pos, u.stripped_state
    FROM unnest($41::text[], $42::bigint[], $43::bigint[], $44::text[], $45::bigint[], $46::text[])
      WITH ORDINALITY
      AS u (user_id, room_nid, caused_by, membership, event_nid, stripped_state, ord)
    JOIN input ON input.event_nid = u.caused_by
    ORDER BY u.user_id, u.room_nid, u.ord DESC
    ON CONFLICT (user_id, room_nid) DO UPDATE SET membership = EXCLUDED.membership,
      event_nid = EXCLUDED.event_nid, stream_pos = EXCLUDED.stream_pos,
      membership_pos = CASE WHEN kept.membership = EXCLUDED.membership
        THEN kept.membership_pos ELSE EXCLUDED.membership_pos END,
      forgotten = kept.forgotten AND kept.membership = EXCLUDED.membership,
      stripped_state = EXCLUDED.stripped_state
  )`;

const answer = `SELECT array_agg(event_nid) AS nids, array_agg(stream_pos) AS positions FROM input
  WHERE place IN ('live', 'announced')`;
const eventsOnly = `WITH ${eventsCte('')} ${answer}`;
const withState = `WITH ${eventsCte('')}, ${stateCte} ${answer}`;
// An outlier that has its place already is written for nothing; any other row that is not written is
// the second row of an event.
const withOutliers = `WITH ${eventsCte(promoteOutliers)}, ${stateCte}
  SELECT array_agg(event_nid) FILTER (WHERE place IN ('live', 'announced')) AS nids,
    array_agg(stream_pos) FILTER (WHERE place IN ('live', 'announced')) AS positions,
    array_agg(event_id) FILTER (WHERE NOT EXISTS (
        SELECT 1 FROM written w WHERE w.event_nid = input.event_nid
      ) AND NOT EXISTS (
        SELECT 1 FROM events e WHERE input.place = 'outlier'
          AND e.room_nid = input.room_nid AND e.event_nid = input.event_nid
      )) AS refused
  FROM input`;

const packed = (event: EventRow): string => packedJson(event.json, event);

const eventColumns = (events: readonly EventRow[]): unknown[] => [
  numberArray(events, (e) => e.roomNid),
  numberArray(events, (e) => e.eventNid),
  textArray(events, (e) => e.eventId),
  textArray(events, (e) => e.type),
  textArray(events, (e) => e.stateKey),
  textArray(events, (e) => e.membership),
  textArray(events, (e) => e.sender),
  numberArray(events, (e) => e.depth),
  numberArray(events, (e) => e.originServerTs),
  textArray(events, (e) => e.place),
  numberArray(events, (e) => e.streamPos),
  numberArray(events, (e) => e.backfillPos),
  numberArray(events, (e) => e.snapshotBefore),
  numberArray(events, (e) => e.snapshotAfter),
  numberArray(events, (e) => e.currentSnapshot),
  numberArray(events, (e) => e.replacesNid),
  textArray(events, (e) => e.rejectedReason),
  booleanArray(events, (e) => e.softFailed),
  booleanArray(events, (e) => e.relayed),
  textArray(events, (e) => e.senderDevice),
  textArray(events, (e) => e.txnId),
  textArray(events, (e) => e.txnTarget),
  records(events, packed),
  numberArray(events, (e) => e.pushMark),
];

const plainColumns = (events: readonly EventRow[]): unknown[] => [
  numberArray(events, (e) => e.roomNid),
  numberArray(events, (e) => e.eventNid),
  textArray(events, (e) => e.eventId),
  textArray(events, (e) => e.type),
  textArray(events, (e) => e.sender),
  numberArray(events, (e) => e.depth),
  numberArray(events, (e) => e.originServerTs),
  numberArray(events, (e) => e.snapshotBefore),
  booleanArray(events, (e) => e.relayed),
  textArray(events, (e) => e.senderDevice),
  textArray(events, (e) => e.txnId),
  records(events, packed),
  numberArray(events, (e) => e.pushMark),
];

const isPlain = (event: EventRow): boolean =>
  event.place === 'live' &&
  event.stateKey === null &&
  event.rejectedReason === null &&
  event.txnTarget === null &&
  !event.softFailed &&
  !event.promoted &&
  event.streamPos === null &&
  event.backfillPos === 0 &&
  event.snapshotAfter === event.snapshotBefore &&
  event.currentSnapshot === event.snapshotBefore;

const headColumns = (writes: readonly RoomWrite[]): unknown[] => {
  const heads = new Map<number, NonNullable<RoomWrite['head']>>();
  for (const { roomNid, head } of writes) if (head !== undefined) heads.set(roomNid, head);
  const entries = [...heads];
  return [
    numberArray(entries, ([roomNid]) => roomNid),
    textArray(entries, ([, head]) => braces(head.extremities)),
    numberArray(entries, ([, head]) => head.snapshotNid),
    numberArray(entries, ([, head]) => head.joined),
    numberArray(entries, ([, head]) => head.invited),
  ];
};

const stateColumns = (writes: readonly RoomWrite[]): unknown[] => {
  const snapshots = writes.flatMap((write) => write.snapshots);
  const changes = writes.flatMap(({ roomNid, changes }) =>
    changes.flatMap(({ causedByNid, rows }) => rows.map((row) => ({ roomNid, causedByNid, row }))),
  );
  const users = writes.flatMap(({ roomNid, changes }) =>
    changes.flatMap(({ causedByNid, users }) =>
      users.map((row) => ({ roomNid, causedByNid, row })),
    ),
  );
  return [
    snapshots.map((s) => s.roomNid),
    snapshots.map((s) => s.snapshotNid),
    snapshots.map((s) => s.height),
    snapshots.map((s) => packedNids(s.snapshotNid, s.below)),
    snapshots.map((s) => packedNids(s.snapshotNid, s.eventNids)),
    changes.map((c) => c.roomNid),
    changes.map((c) => c.causedByNid),
    changes.map((c) => c.row.type),
    changes.map((c) => c.row.stateKey),
    changes.map((c) => c.row.eventNid),
    changes.map((c) => c.row.membership),
    users.map((u) => u.row.userId),
    users.map((u) => u.roomNid),
    users.map((u) => u.causedByNid),
    users.map((u) => u.row.membership),
    users.map((u) => u.row.eventNid),
    users.map((u) => u.row.strippedState),
  ];
};

const touchesState = (write: RoomWrite): boolean =>
  write.snapshots.length > 0 || write.changes.length > 0;

/** The positions given to events: two lists in one order, null when there were none to give. */
interface Given {
  readonly nids: readonly number[] | null;
  readonly positions: readonly number[] | null;
  /** Events that are stored already under another number. */
  readonly refused?: readonly string[] | null;
}

/** An outlier may be written after it has taken its place. */
const mayMeetItself = ({ promoted, place }: EventRow): boolean => promoted || place === 'outlier';

const statementFor = (writes: readonly RoomWrite[], events: readonly EventRow[]): Statement => {
  const changesState = writes.some(touchesState);
  const heads = headColumns(writes);
  if (!changesState && events.every(isPlain)) {
    const values = [...plainColumns(events), ...heads];
    return { name: 'log-plain-messages', text: plainMessages, values };
  }
  const values = [...eventColumns(events), ...heads];
  if (events.some(mayMeetItself)) {
    return {
      name: 'log-outliers',
      text: withOutliers,
      values: [...values, ...stateColumns(writes)],
    };
  }
  return changesState
    ? { name: 'log-state', text: withState, values: [...values, ...stateColumns(writes)] }
    : { name: 'log-events', text: eventsOnly, values };
};

/**
 * An outlier may take its place in the batch that it is first written in, and no statement can write
 * a row twice: the one with the place is the whole of it.
 */
const withoutDoubles = (events: readonly EventRow[]): readonly EventRow[] => {
  if (!events.some(({ place }) => place === 'outlier')) return events;
  const placed = new Set<number>();
  for (const { place, eventNid } of events) if (place !== 'outlier') placed.add(eventNid);
  return events.filter(({ place, eventNid }) => place !== 'outlier' || !placed.has(eventNid));
};

/** An event has a row already, under another number. Like the database's own refusals. */
class SecondRow extends Error {
  readonly severity = 'ERROR';
  readonly code = '23505';

  constructor(eventIds: readonly string[]) {
    super(`stored already: ${eventIds.slice(0, 3).join(', ')}`);
    this.name = 'SecondRow';
  }
}

/** Fills in `streamPos`; returns the highest. */
const takePositions = (events: readonly EventRow[], given: Given | undefined): number => {
  const positions = given?.positions ?? [];
  const byNid = new Map(given?.nids?.map((nid, index) => [nid, positions[index]]));
  let highest = 0;
  for (const event of events) {
    if (event.place !== 'live' && event.place !== 'announced') continue;
    const position = byNid.get(event.eventNid);
    if (position === undefined) throw new Error(`No position for event ${event.eventId}`);
    event.streamPos = position;
    if (position > highest) highest = position;
  }
  return highest;
};

/** Fills in `streamPos` of live rows. */
export const roomEvents: LogSection<RoomWrite> = {
  name: 'room events',
  answer: ({ events }) => events.map(({ streamPos }) => streamPos),
  take({ events }, positions) {
    for (const [index, event] of events.entries()) {
      event.streamPos = (positions as (number | null)[])[index] as number | null;
    }
  },
  needsTransaction: (writes) =>
    writes.some((write) => hasExtras(write) || write.events.some(mayMeetItself)),
  async write(tx, writes) {
    const events = withoutDoubles(writes.flatMap((write) => write.events));
    const { rows } = await tx.query<Given>(statementFor(writes, events));
    const refused = rows[0]?.refused ?? [];
    if (refused.length > 0) throw new SecondRow(refused);
    const highest = takePositions(events, rows[0]);
    if (writes.some(hasExtras)) await writeExtras(tx, writes);
    return highest;
  },
};
