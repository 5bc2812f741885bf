/** The table `purged_rooms`, and the end of what is left of those rooms in all others. */
import type { Tx } from './database.ts';

export interface PurgedRoom {
  readonly roomNid: number;
  readonly roomId: string;
  readonly purgedPos: number;
}

/** One of them. */
export const purgedRoom = async (tx: Tx): Promise<PurgedRoom | undefined> => {
  const { rows } = await tx.query<{ room_nid: number; room_id: string; purged_pos: number }>({
    name: 'purged-room',
    text: 'SELECT room_nid, room_id, purged_pos FROM purged_rooms ORDER BY room_nid LIMIT 1',
  });
  const [row] = rows;
  return row && { roomNid: row.room_nid, roomId: row.room_id, purgedPos: row.purged_pos };
};

/** Deletes up to `limit` rows of a room, and says how many. */
type Deletion = (tx: Tx, room: PurgedRoom, limit: number) => Promise<number>;

const byRoom =
  (table: string): Deletion =>
  async (tx, { roomNid }, limit) => {
    const { rowCount } = await tx.query({
      name: `purge-${table}`,
      text: `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM ${table} WHERE room_nid = $1 LIMIT $2))`,
      values: [roomNid, limit],
    });
    return rowCount;
  };

/** What came for it: not if the room is known again, and it may be for that one. */
const inboundPdus: Deletion = async (tx, { roomId }, limit) => {
  const { rowCount } = await tx.query({
    name: 'purge-inbound-pdus',
    text: `DELETE FROM inbound_pdus WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM inbound_pdus WHERE room_id = $1 LIMIT $2))
      AND NOT EXISTS (SELECT FROM rooms WHERE room_id = $1)`,
    values: [roomId, limit],
  });
  return rowCount;
};

/** With an event go its words, and with a member event what is kept of the member in the room. */
const ROWS_OF_EVENT = 5;

const perMember = ['user_rooms', 'user_directory', 'unread_counts'];

const events: Deletion = async (tx, { roomNid, roomId, purgedPos }, limit) => {
  const { rows } = await tx.query<{
    event_nid: number;
    member: string | null;
    stream_pos: number | null;
  }>({
    name: 'purged-events',
    text: `SELECT event_nid, stream_pos, CASE WHEN type = 'm.room.member' THEN state_key END AS member
      FROM events WHERE room_nid = $1 ORDER BY event_nid LIMIT $2`,
    values: [roomNid, Math.ceil(limit / ROWS_OF_EVENT)],
  });
  const positions = rows.flatMap(({ stream_pos: position }) => position ?? []);
  const members = [...new Set(rows.flatMap(({ member }) => member ?? []))];
  let deleted = 0;
  const remove = async (name: string, text: string, values: readonly unknown[]): Promise<void> => {
    deleted += (await tx.query({ name, text, values })).rowCount;
  };
  if (positions.length > 0) {
    await remove(
      'purge-words',
      'DELETE FROM event_words WHERE stream_pos = ANY($2::bigint[]) AND room_nid = $1',
      [roomNid, positions],
    );
  }
  if (members.length > 0) {
    for (const table of perMember) {
      await remove(
        `purge-${table}`,
        `DELETE FROM ${table} WHERE user_id = ANY($2::text[]) AND room_nid = $1`,
        [roomNid, members],
      );
    }
    // What they have put there since is for a room of this id that is known again.
    await remove(
      'purge-account-data',
      `DELETE FROM account_data WHERE user_id = ANY($2::text[]) AND room_id = $1
        AND stream_pos <= $3`,
      [roomId, members, purgedPos],
    );
  }
  const nids = rows.map(({ event_nid: nid }) => nid);
  await remove(
    'purge-events',
    'DELETE FROM events WHERE room_nid = $1 AND event_nid = ANY($2::bigint[])',
    [roomNid, nids],
  );
  return deleted;
};

/**
 * In this order. Events are last: they say in which rows of other tables the room is, for those that
 * have no index by room.
 */
const indexedByRoom = [
  // Noted again where nobody could tell whether the room had gone.
  'abandoned_rooms',
  'server_rooms',
  'open_rooms',
  'outside_memberships',
  'receipts',
  'missing_prev_events',
  'unapplied_redactions',
  'event_relations',
  'auth_chain_links',
  'auth_chain_places',
  'state_changes',
  'state_snapshots',
];
const deletions: readonly Deletion[] = [inboundPdus, ...indexedByRoom.map(byRoom), events];

/** Everything that this empties of a room. */
export const purgedTables: readonly string[] = [
  'inbound_pdus',
  ...indexedByRoom,
  'event_words',
  ...perMember,
  'account_data',
  'events',
];

/**
 * Deletes some rows of a purged room, about `limit` of them. `phase` says how far it has come: 0 at
 * first. `next` is the phase to go on with; undefined when nothing is left.
 */
export const deletePurged = async (
  tx: Tx,
  room: PurgedRoom,
  phase: number,
  limit: number,
): Promise<{ deleted: number; next: number | undefined }> => {
  // By index, whatever the planner thinks of the number of rows: the whole of a table is never read.
  await tx.query({ text: `SELECT set_config('enable_seqscan', 'off', true)` });
  let deleted = 0;
  for (const [index, deletion] of deletions.entries()) {
    if (index < phase) continue;
    const count = await deletion(tx, room, limit - deleted);
    deleted += count;
    if (deleted >= limit || (deletion === events && count > 0)) return { deleted, next: index };
  }
  await tx.query({
    name: 'end-purge',
    text: 'DELETE FROM purged_rooms WHERE room_nid = $1',
    values: [room.roomNid],
  });
  return { deleted: deleted + 1, next: undefined };
};
