/** Reading room states: stored snapshots, and the current state kept beside them. */
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { eachWanted } from './events.ts';
import { unpackedNids } from './packed-nids.ts';
import { stateChangesCursor } from './state-changes.ts';

export interface SnapshotRecord {
  room_nid: number;
  snapshot_nid: number;
  height: number;
  /** The snapshots it builds on, nearest first. */
  below: number[];
  /** Those it sets, and the negated ones that it removes. */
  event_nids: number[];
}

/** These snapshots themselves, in no particular order. */
export const snapshotsByNid = async (
  db: Db,
  roomNids: readonly number[],
  nids: readonly number[],
): Promise<SnapshotRecord[]> => {
  const { rows } = await db.query<
    Omit<SnapshotRecord, 'below' | 'event_nids'> & { below: string; event_nids: string }
  >({
    name: 'snapshots-by-nid',
    text: `SELECT s.room_nid, s.snapshot_nid, s.height, s.below, s.event_nids
      FROM unnest($1::bigint[], $2::bigint[]) AS wanted (room_nid, snapshot_nid)
      -- One by one through the key, so that no plan reads the whole table for them.
      CROSS JOIN LATERAL (
        SELECT * FROM state_snapshots WHERE state_snapshots.room_nid = wanted.room_nid
          AND state_snapshots.snapshot_nid = wanted.snapshot_nid LIMIT 1
      ) s`,
    values: [roomNids, nids],
  });
  return rows.map((row) => ({
    ...row,
    below: unpackedNids(row.snapshot_nid, row.below),
    event_nids: unpackedNids(row.snapshot_nid, row.event_nids),
  }));
};

export interface StateEventRecord {
  event_nid: number;
  event_id: EventId;
  type: string;
  state_key: string;
  membership: string | null;
}

/** What a snapshot needs to know of its events. The two lists go together. */
export const stateEventsByNid = async (
  db: Db,
  roomNids: readonly number[],
  nids: readonly number[],
): Promise<StateEventRecord[]> => {
  const { rows } = await db.query<StateEventRecord>({
    name: 'state-events-by-nid',
    text: `SELECT e.event_nid, e.event_id, e.type, e.state_key, e.membership
      FROM unnest($1::bigint[], $2::bigint[]) AS wanted (room_nid, event_nid)
      ${eachWanted}`,
    values: [roomNids, nids],
  });
  return rows;
};

export interface StateChangeRecord {
  stream_pos: number;
  type: string;
  state_key: string;
  event_nid: number;
}

/**
 * Changes of a room's current state with `after < position <= upTo`, oldest first; undefined where they
 * are not all here any more.
 */
export const stateChangesBetween = async (
  db: Db,
  roomNid: number,
  after: number,
  upTo: number,
): Promise<StateChangeRecord[] | undefined> => {
  const { rows } = await db.query<StateChangeRecord | { stream_pos: null }>({
    name: 'state-changes-between',
    text: `SELECT stream_pos, type, state_key, event_nid FROM state_changes
      WHERE room_nid = $1 AND stream_pos > $2 AND stream_pos <= $3
      UNION ALL
      SELECT NULL, NULL, NULL, NULL FROM reader_cursors
      WHERE reader = '${stateChangesCursor}' AND position > $2
      ORDER BY stream_pos NULLS FIRST`,
    values: [roomNid, after, upTo],
  });
  return rows[0]?.stream_pos === null ? undefined : (rows as StateChangeRecord[]);
};

export interface UserRoomRecord {
  user_id: UserId;
  room_nid: number;
  room_id: string;
  membership: string;
  event_nid: number;
  stream_pos: number;
  membership_pos: number;
  forgotten: boolean;
  stripped_state: string | null;
}

/** Every room these users have had to do with, forgotten ones included; those with none are left out. */
export const roomsOfUsers = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<Map<UserId, UserRoomRecord[]>> => {
  const { rows } = await db.query<UserRoomRecord>({
    name: 'rooms-of-users',
    text: `SELECT u.user_id, u.room_nid, r.room_id, u.membership, u.event_nid, u.stream_pos,
        u.membership_pos, u.forgotten, u.stripped_state
      FROM user_rooms u JOIN rooms r USING (room_nid) WHERE u.user_id = ANY($1::text[])`,
    values: [userIds],
  });
  const rooms = new Map<UserId, UserRoomRecord[]>();
  for (const row of rows) {
    const own = rooms.get(row.user_id);
    if (own === undefined) rooms.set(row.user_id, [row]);
    else own.push(row);
  }
  return rooms;
};

/** The rooms that each of these users, local or not, has joined; those in none are left out. */
export const joinedRoomNids = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<Map<UserId, number[]>> => {
  const { rows } = await db.query<{ user_id: UserId; room_nids: number[] }>({
    name: 'joined-room-nids',
    text: `SELECT user_id, array_agg(room_nid) AS room_nids FROM user_rooms
      WHERE user_id = ANY($1::text[]) AND membership = 'join' GROUP BY user_id`,
    values: [userIds],
  });
  return new Map(rows.map((row) => [row.user_id, row.room_nids]));
};

/** The rooms both have joined, in the order of their ids. */
export const mutualRoomIds = async (db: Db, one: UserId, other: UserId): Promise<RoomId[]> => {
  const { rows } = await db.query<{ room_id: RoomId }>({
    name: 'mutual-room-ids',
    text: `SELECT r.room_id FROM user_rooms a JOIN user_rooms b USING (room_nid)
      JOIN rooms r USING (room_nid)
      WHERE a.user_id = $1 AND b.user_id = $2 AND a.membership = 'join' AND b.membership = 'join'
      ORDER BY r.room_id`,
    values: [one, other],
  });
  return rows.map((row) => row.room_id);
};
