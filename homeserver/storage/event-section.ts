/**
 * The log section of room events: events, heads, snapshots and what is kept beside them at write
 * time, all in one statement, so that a message costs one round trip and one commit.
 */
import type { LogSection } from '../streams/log.ts';
import type { Tx } from './database.ts';

export interface EventRow {
  roomNid: number;
  eventNid: number;
  eventId: string;
  type: string;
  stateKey: string | null;
  membership: string | null;
  sender: string;
  depth: number;
  originServerTs: number;
  /**
   * `live`: the log assigns `streamPos`. `filled`: the row carries its own place before a live
   * event. `outlier`: no place in the timeline. `announced`: an outlier whose effect on users has a
   * position, given back in `streamPos`: an invite to a room this server is not in.
   */
  place: 'live' | 'filled' | 'outlier' | 'announced';
  streamPos: number | null;
  backfillPos: number;
  snapshotBefore: number | null;
  snapshotAfter: number | null;
  currentSnapshot: number | null;
  replacesNid: number | null;
  rejectedReason: string | null;
  softFailed: boolean;
  /** Passed on to the other servers in the room. */
  relayed: boolean;
  senderDevice: string | null;
  txnId: string | null;
  json: string;
  /** The event is there as an outlier, and its row takes its place in the timeline. */
  promoted: boolean;
}

export interface SnapshotRow {
  roomNid: number;
  snapshotNid: number;
  height: number;
  chain: readonly number[];
  eventNids: readonly number[];
}

export interface StateChangeRow {
  type: string;
  stateKey: string;
  /** 0 removes the entry. */
  eventNid: number;
  membership: string | null;
}

export interface UserRoomRow {
  userId: string;
  membership: string;
  eventNid: number;
  strippedState: string | null;
}

/** One write to one room. `changes` are the effect of the last live event on the current state. */
export interface RoomWrite {
  readonly roomNid: number;
  /** Set with the room's first write. */
  readonly create?: { roomId: string; version: string; createdAtMs: number };
  readonly events: EventRow[];
  readonly snapshots: SnapshotRow[];
  /** Undefined when the write leaves the extremities alone (outliers, filled gaps). */
  readonly head?: { extremities: readonly number[]; snapshotNid: number };
  /** The live event (by nid) that brings these changes about. */
  readonly changes: { causedByNid: number; rows: StateChangeRow[]; users: UserRoomRow[] }[];
  /** Other servers whose first member came or whose last one went. */
  readonly serverChanges: { causedByNid: number; server: string; joined: boolean }[];
  readonly missingPrevEvents: { eventId: string; referencedByNid: number }[];
  /** Events that were missing and are now here. */
  readonly foundPrevEvents: string[];
  readonly chainPlaces: { eventNid: number; chainNid: number; seq: number }[];
  readonly chainLinks: { fromChain: number; fromSeq: number; toChain: number; toSeq: number }[];
  /** Redactions whose target is not here yet. */
  readonly unappliedRedactions: { eventId: string; redactionNid: number }[];
  /** Redactions to apply to stored events: the redacted JSON and the redaction's nid. */
  readonly redactions: { eventNid: number; redactedByNid: number; json: string }[];
}

const eventsCte = (onConflict: string): string => `
  input AS MATERIALIZED (
    SELECT e.*, CASE WHEN e.place IN ('live', 'announced') THEN nextval('stream_positions')
      ELSE e.given_pos END AS stream_pos
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::boolean[],
        $19::boolean[], $20::text[], $21::text[], $22::text[])
      AS e (room_nid, event_nid, event_id, type, state_key, membership, sender, depth,
        origin_server_ts, place, given_pos, backfill_pos, snapshot_before, snapshot_after,
        current_snapshot, replaces_nid, rejected_reason, soft_failed, relayed, sender_device,
        txn_id, json)
  ),
  written AS (
    INSERT INTO events AS stored (room_nid, event_nid, event_id, type, state_key, membership,
      sender, depth, origin_server_ts, stream_pos, backfill_pos, snapshot_before, snapshot_after,
      current_snapshot, replaces_nid, rejected_reason, soft_failed, relayed, sender_device,
        txn_id, json)
    SELECT room_nid, event_nid, event_id, type, state_key, membership, sender, depth,
      origin_server_ts, CASE WHEN place <> 'announced' THEN stream_pos END, backfill_pos,
      snapshot_before, snapshot_after, current_snapshot, replaces_nid, rejected_reason,
      soft_failed, relayed, sender_device, txn_id, json
    FROM input
    ${onConflict}
    RETURNING event_nid
  ),
  heads AS (
    INSERT INTO room_heads (room_nid, extremities, snapshot_nid)
    SELECT h.room_nid, h.extremities::bigint[], h.snapshot_nid
    FROM unnest($23::bigint[], $24::text[], $25::bigint[])
      AS h (room_nid, extremities, snapshot_nid)
    ON CONFLICT (room_nid) DO UPDATE
      SET extremities = EXCLUDED.extremities, snapshot_nid = EXCLUDED.snapshot_nid
  )`;

/** Costs a second look at the index for every row, so it is left out where nothing needs it. */
const promoteOutliers = `-- An outlier that takes its place in the timeline keeps its row.
    ON CONFLICT (event_id, room_nid) DO UPDATE SET stream_pos = EXCLUDED.stream_pos,
      backfill_pos = EXCLUDED.backfill_pos, snapshot_before = EXCLUDED.snapshot_before,
      snapshot_after = EXCLUDED.snapshot_after, current_snapshot = EXCLUDED.current_snapshot,
      replaces_nid = EXCLUDED.replaces_nid,
      rejected_reason = EXCLUDED.rejected_reason, soft_failed = EXCLUDED.soft_failed,
      relayed = EXCLUDED.relayed
    WHERE stored.stream_pos IS NULL AND stored.event_nid = EXCLUDED.event_nid`;

const stateCte = `
  snapshots AS (
    INSERT INTO state_snapshots (room_nid, snapshot_nid, height, chain, event_nids)
    SELECT s.room_nid, s.snapshot_nid, s.height, s.chain::bigint[], s.event_nids::bigint[]
    FROM unnest($26::bigint[], $27::bigint[], $28::int[], $29::text[], $30::text[])
      AS s (room_nid, snapshot_nid, height, chain, event_nids)
    -- Two writes may both build on a state that neither knew to be stored.
    ON CONFLICT DO NOTHING
  ),
  changes AS MATERIALIZED (
    SELECT c.room_nid, c.type, c.state_key, c.event_nid, c.membership, c.ord, input.stream_pos
    FROM unnest($31::bigint[], $32::bigint[], $33::text[], $34::text[], $35::bigint[], $36::text[])
      WITH ORDINALITY AS c (room_nid, caused_by, type, state_key, event_nid, membership, ord)
    JOIN input ON input.event_nid = c.caused_by
  ),
  changed AS (
    INSERT INTO state_changes (room_nid, stream_pos, type, state_key, event_nid)
    SELECT room_nid, stream_pos, type, state_key, event_nid FROM changes
  ),
  latest AS MATERIALIZED (
    SELECT DISTINCT ON (room_nid, type, state_key) * FROM changes
    ORDER BY room_nid, type, state_key, ord DESC
  ),
  current_set AS (
    INSERT INTO current_state (room_nid, type, state_key, event_nid, membership)
    SELECT room_nid, type, state_key, event_nid, membership FROM latest WHERE event_nid <> 0
    ON CONFLICT (room_nid, type, state_key) DO UPDATE
      SET event_nid = EXCLUDED.event_nid, membership = EXCLUDED.membership
  ),
  current_removed AS (
    DELETE FROM current_state c USING latest l
    WHERE l.event_nid = 0 AND c.room_nid = l.room_nid AND c.type = l.type
      AND c.state_key = l.state_key
  ),
  users_set AS (
    INSERT INTO user_rooms AS kept (user_id, room_nid, membership, event_nid, stream_pos,
      membership_pos, stripped_state)
    SELECT DISTINCT ON (u.user_id, u.room_nid) u.user_id, u.room_nid, u.membership, u.event_nid,
      input.stream_pos, input.stream_pos, u.stripped_state
    FROM unnest($37::text[], $38::bigint[], $39::bigint[], $40::text[], $41::bigint[], $42::text[])
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

const answer = `SELECT event_nid, stream_pos FROM input WHERE place IN ('live', 'announced')`;
const messagesOnly = `WITH ${eventsCte('')} ${answer}`;
const withState = `WITH ${eventsCte(promoteOutliers)}, ${stateCte} ${answer}`;

const braces = (numbers: readonly number[]): string => `{${numbers.join(',')}}`;

const eventColumns = (events: readonly EventRow[]): unknown[] => [
  events.map((e) => e.roomNid),
  events.map((e) => e.eventNid),
  events.map((e) => e.eventId),
  events.map((e) => e.type),
  events.map((e) => e.stateKey),
  events.map((e) => e.membership),
  events.map((e) => e.sender),
  events.map((e) => e.depth),
  events.map((e) => e.originServerTs),
  events.map((e) => e.place),
  events.map((e) => e.streamPos),
  events.map((e) => e.backfillPos),
  events.map((e) => e.snapshotBefore),
  events.map((e) => e.snapshotAfter),
  events.map((e) => e.currentSnapshot),
  events.map((e) => e.replacesNid),
  events.map((e) => e.rejectedReason),
  events.map((e) => e.softFailed),
  events.map((e) => e.relayed),
  events.map((e) => e.senderDevice),
  events.map((e) => e.txnId),
  events.map((e) => e.json),
];

const headColumns = (writes: readonly RoomWrite[]): unknown[] => {
  const heads = new Map<number, NonNullable<RoomWrite['head']>>();
  for (const { roomNid, head } of writes) if (head !== undefined) heads.set(roomNid, head);
  const entries = [...heads];
  return [
    entries.map(([roomNid]) => roomNid),
    entries.map(([, head]) => braces(head.extremities)),
    entries.map(([, head]) => head.snapshotNid),
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
    snapshots.map((s) => braces(s.chain)),
    snapshots.map((s) => braces(s.eventNids)),
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

/** Rooms, graph edges and redactions: rare beside messages, so they take statements of their own. */
const writeRare = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const created = writes.filter((write) => write.create !== undefined);
  if (created.length > 0) {
    await tx.query({
      name: 'log-create-rooms',
      text: `INSERT INTO rooms (room_nid, room_id, version, created_at_ms)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])`,
      values: [
        created.map((w) => w.roomNid),
        created.map((w) => w.create?.roomId),
        created.map((w) => w.create?.version),
        created.map((w) => w.create?.createdAtMs),
      ],
    });
  }
  const found = writes.flatMap((w) =>
    w.foundPrevEvents.map((eventId) => [w.roomNid, eventId] as const),
  );
  if (found.length > 0) {
    await tx.query({
      text: `DELETE FROM missing_prev_events m USING unnest($1::bigint[], $2::text[])
        AS f (room_nid, event_id) WHERE m.room_nid = f.room_nid AND m.event_id = f.event_id`,
      values: [found.map(([nid]) => nid), found.map(([, id]) => id)],
    });
  }
  const missing = writes.flatMap((w) => w.missingPrevEvents.map((m) => ({ ...m, nid: w.roomNid })));
  if (missing.length > 0) {
    await tx.query({
      text: `INSERT INTO missing_prev_events (room_nid, event_id, referenced_by_nid)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
      values: [
        missing.map((m) => m.nid),
        missing.map((m) => m.eventId),
        missing.map((m) => m.referencedByNid),
      ],
    });
  }
  const redactions = writes.flatMap((w) => w.redactions.map((r) => ({ ...r, nid: w.roomNid })));
  if (redactions.length > 0) {
    await tx.query({
      text: `UPDATE events SET json = r.json, redacted_by_nid = r.by
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS r (room, nid, by, json)
        WHERE room_nid = r.room AND event_nid = r.nid`,
      values: [
        redactions.map((r) => r.nid),
        redactions.map((r) => r.eventNid),
        redactions.map((r) => r.redactedByNid),
        redactions.map((r) => r.json),
      ],
    });
  }
};

/** A change that comes and goes within one batch leaves an interval of its own, which is right. */
const writeServers = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const positions = new Map(
    writes.flatMap((w) => w.events.map((row) => [row.eventNid, row.streamPos] as const)),
  );
  for (const { roomNid, serverChanges } of writes) {
    if (serverChanges.length === 0) continue;
    const rows = serverChanges.map((change) => ({
      ...change,
      position: positions.get(change.causedByNid) ?? 0,
    }));
    const [came, went] = [rows.filter((row) => row.joined), rows.filter((row) => !row.joined)];
    const write = (text: string, changes: typeof rows): Promise<unknown> =>
      tx.query({
        text,
        values: [roomNid, changes.map((c) => c.server), changes.map((c) => c.position)],
      });
    if (came.length > 0) {
      await write(
        `INSERT INTO server_rooms (room_nid, server, from_pos)
          SELECT $1::bigint, * FROM unnest($2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
        came,
      );
    }
    if (went.length > 0) {
      await write(
        `UPDATE server_rooms s SET to_pos = w.position
          FROM unnest($2::text[], $3::bigint[]) AS w (server, position)
          WHERE s.server = w.server AND s.room_nid = $1 AND s.to_pos IS NULL
            AND s.from_pos <= w.position`,
        went,
      );
    }
  }
};

const writeUnappliedRedactions = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const rows = writes.flatMap((w) => w.unappliedRedactions.map((r) => ({ ...r, nid: w.roomNid })));
  if (rows.length === 0) return;
  await tx.query({
    text: `INSERT INTO unapplied_redactions (room_nid, event_id, redaction_nid)
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`,
    values: [rows.map((r) => r.nid), rows.map((r) => r.eventId), rows.map((r) => r.redactionNid)],
  });
};

const writeChains = async (tx: Tx, writes: readonly RoomWrite[]): Promise<void> => {
  const places = writes.flatMap((w) => w.chainPlaces.map((p) => ({ ...p, nid: w.roomNid })));
  if (places.length > 0) {
    await tx.query({
      name: 'log-chain-places',
      text: `INSERT INTO auth_chain_places (room_nid, event_nid, chain_nid, seq)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[])
        ON CONFLICT DO NOTHING`,
      values: [
        places.map((p) => p.nid),
        places.map((p) => p.eventNid),
        places.map((p) => p.chainNid),
        places.map((p) => p.seq),
      ],
    });
  }
  const links = writes.flatMap((w) => w.chainLinks.map((l) => ({ ...l, nid: w.roomNid })));
  if (links.length > 0) {
    await tx.query({
      name: 'log-chain-links',
      text: `INSERT INTO auth_chain_links (room_nid, from_chain_nid, from_seq, to_chain_nid, to_seq)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::int[])
        ON CONFLICT DO NOTHING`,
      values: [
        links.map((l) => l.nid),
        links.map((l) => l.fromChain),
        links.map((l) => l.fromSeq),
        links.map((l) => l.toChain),
        links.map((l) => l.toSeq),
      ],
    });
  }
};

const touchesState = (write: RoomWrite): boolean =>
  write.snapshots.length > 0 || write.changes.length > 0;

const needsMore = (write: RoomWrite): boolean =>
  write.create !== undefined ||
  write.serverChanges.length > 0 ||
  write.missingPrevEvents.length > 0 ||
  write.foundPrevEvents.length > 0 ||
  write.redactions.length > 0 ||
  write.unappliedRedactions.length > 0 ||
  write.chainPlaces.length > 0;

/** Fills in `streamPos` of live rows. */
export const roomEvents: LogSection<RoomWrite> = {
  name: 'room events',
  needsTransaction: (writes) => writes.some(needsMore),
  async write(tx, writes) {
    const events = writes.flatMap((write) => write.events);
    const state = writes.some(touchesState) || events.some(({ promoted }) => promoted);
    const values = [...eventColumns(events), ...headColumns(writes)];
    const { rows } = await tx.query<{ event_nid: number; stream_pos: number }>(
      state
        ? { name: 'log-state', text: withState, values: [...values, ...stateColumns(writes)] }
        : { name: 'log-messages', text: messagesOnly, values },
    );
    const positions = new Map(rows.map((row) => [row.event_nid, row.stream_pos]));
    let highest = 0;
    for (const event of events) {
      if (event.place !== 'live' && event.place !== 'announced') continue;
      const position = positions.get(event.eventNid);
      if (position === undefined) throw new Error(`No position for event ${event.eventId}`);
      event.streamPos = position;
      if (position > highest) highest = position;
    }
    await writeRare(tx, writes);
    await writeServers(tx, writes);
    await writeUnappliedRedactions(tx, writes);
    await writeChains(tx, writes);
    return highest;
  },
};
