/** Changes of devices and keys: their log section, and reading who has changed. */
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import type { Db, Statement, Tx } from './database.ts';
import { joinedRoomNids } from './snapshots.ts';
import { stateChangesCursor } from './state-changes.ts';

export interface DeviceListChange {
  readonly userId: UserId;
  /** '' for the user's cross-signing keys, undefined where other servers are not concerned. */
  readonly deviceId: string | undefined;
  /** Other servers that are to hear of it. */
  readonly destinations: readonly ServerName[];
  /** The rooms in which others hear of it. */
  readonly roomNids: readonly number[];
  /** The only one for whom there is a change. */
  readonly viewer: UserId | undefined;
  /** What changes, in the same transaction. */
  readonly statements: readonly Statement[];
  /** Filled in by the log. */
  streamPos: number;
}

/** Each device change names the one before it, so that receivers notice what they have missed. */
export const deviceListsSection: LogSection<DeviceListChange> = {
  name: 'device lists',
  ...filledIn<DeviceListChange>('streamPos'),
  needsTransaction: (rows) =>
    rows.length > 1 || rows.some(({ statements }) => statements.length > 0),
  async write(tx, rows) {
    for (const { statements } of rows) {
      for (const statement of statements) await tx.query(statement);
    }
    const { rows: placed } = await tx.query<{ ord: number; pos: number }>({
      name: 'log-device-lists',
      text: `WITH input AS MATERIALIZED (
          SELECT user_id, device_id, sent, ord, nextval('stream_positions') AS pos
          FROM unnest($1::text[], $2::text[], $3::boolean[])
            WITH ORDINALITY AS c (user_id, device_id, sent, ord)
        ),
        chained AS (
          SELECT i.user_id, i.device_id, i.sent, i.pos,
            coalesce(lag(i.pos) OVER (PARTITION BY i.user_id ORDER BY i.pos), u.devices_pos, 0)
              AS prev_pos
          FROM input i LEFT JOIN device_list_users u USING (user_id) WHERE i.device_id <> ''
        ),
        heads AS (
          INSERT INTO device_list_users AS known (user_id, stream_pos, devices_pos)
          SELECT user_id, max(pos), coalesce(max(pos) FILTER (WHERE device_id <> ''), 0)
          FROM input GROUP BY user_id
          ON CONFLICT (user_id) DO UPDATE SET stream_pos = EXCLUDED.stream_pos,
            devices_pos = greatest(known.devices_pos, EXCLUDED.devices_pos)
        ),
        edus AS (
          INSERT INTO outbound_edus (stream_pos, edu_type, content)
          SELECT pos, 'm.device_list_update', json_build_object('user_id', user_id,
            'device_id', device_id, 'prev_id', prev_pos)::text FROM chained WHERE sent
          UNION ALL
          SELECT pos, 'm.signing_key_update', json_build_object('user_id', user_id)::text
          FROM input WHERE sent AND device_id = ''
        )
        SELECT ord, pos FROM input`,
      values: [
        rows.map(({ userId }) => userId),
        rows.map(({ deviceId }) => deviceId ?? null),
        rows.map(({ destinations }) => destinations.length > 0),
      ],
    });
    let highest = 0;
    for (const { ord, pos } of placed) {
      (rows[ord - 1] as DeviceListChange).streamPos = pos;
      highest = Math.max(highest, pos);
    }
    await addDestinations(
      tx,
      rows.flatMap(({ destinations, streamPos }) =>
        destinations.map((destination) => ({ destination, streamPos })),
      ),
    );
    return highest;
  },
};

const addDestinations = async (
  tx: Tx,
  addressed: readonly { destination: ServerName; streamPos: number }[],
): Promise<void> => {
  if (addressed.length === 0) return;
  await tx.query({
    name: 'add-edu-destinations',
    text: `INSERT INTO outbound_edu_destinations (destination, stream_pos)
      SELECT * FROM unnest($1::text[], $2::bigint[])`,
    values: [
      addressed.map(({ destination }) => destination),
      addressed.map(({ streamPos }) => streamPos),
    ],
  });
};

/** Other servers in the rooms a user has joined. */
export const serversSharingRooms = async (
  db: Db,
  roomNids: readonly number[],
): Promise<ServerName[]> => {
  const { rows } = await db.query<{ server: ServerName }>({
    name: 'servers-sharing-rooms',
    text: `SELECT DISTINCT server FROM server_rooms
      WHERE room_nid = ANY($1::bigint[]) AND to_pos IS NULL`,
    values: [roomNids],
  });
  return rows.map(({ server }) => server);
};

/**
 * Who in the rooms `userId` has joined has changed in `after < position <= upTo`. Reads the rooms of
 * those who have changed, each by the index of `user_rooms`, until one is found to be shared. Not
 * prepared: the reader's rooms are compared by hash only where the planner sees them.
 */
export const changedUsersSharing = async (
  db: Db,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<UserId[]> => {
  const mine = (await joinedRoomNids(db, [userId])).get(userId) ?? [];
  const { rows } = await db.query<{ user_id: UserId }>({
    text: `SELECT l.user_id FROM device_list_users l
      LEFT JOIN LATERAL (
        SELECT 1 AS found FROM user_rooms theirs
        WHERE theirs.user_id = l.user_id AND theirs.membership = 'join'
          -- A sum, so that the index is not searched for each of the reader's rooms.
          AND theirs.room_nid + 0 = ANY($4::bigint[]) LIMIT 1
      ) shared ON true
      WHERE l.stream_pos > $2 AND l.stream_pos <= $3
        AND (l.user_id = $1 OR shared.found IS NOT NULL)`,
    values: [userId, after, upTo, mine],
  });
  return rows.map((row) => row.user_id);
};

/** Whose membership in these rooms has changed in `after < position <= upTo`. */
export const usersMoved = async (
  db: Db,
  roomNids: readonly number[],
  after: number,
  upTo: number,
): Promise<UserId[]> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    name: 'users-moved',
    text: `SELECT DISTINCT c.state_key AS user_id FROM state_changes c
      JOIN user_rooms u ON u.user_id = c.state_key AND u.room_nid = c.room_nid
      WHERE c.room_nid = ANY($1::bigint[]) AND c.stream_pos > $2 AND c.stream_pos <= $3
        AND c.type = 'm.room.member' AND u.membership_pos > $2`,
    values: [roomNids, after, upTo],
  });
  return rows.map((row) => row.user_id);
};

/**
 * Those of these rooms in which the user was at `position`, or has been since; all of them where that is
 * longer ago than changes are kept.
 */
export const roomsJoinedSince = async (
  db: Db,
  userId: UserId,
  roomNids: readonly number[],
  position: number,
): Promise<number[]> => {
  const { rows } = await db.query<{ room_nid: number }>({
    name: 'rooms-joined-since',
    text: `SELECT DISTINCT c.room_nid FROM state_changes c
      JOIN events e ON e.room_nid = c.room_nid AND e.event_nid = c.event_nid
      -- What a change replaced tells of the time before it, which may not be here any more.
      LEFT JOIN events p ON p.room_nid = c.room_nid AND p.event_nid = e.replaces_nid
      WHERE c.room_nid = ANY($2::bigint[]) AND c.type = 'm.room.member' AND c.state_key = $1
        AND (e.membership = 'join' OR p.membership = 'join' AND c.stream_pos > $3)
        AND c.stream_pos >= coalesce((
          SELECT max(b.stream_pos) FROM state_changes b
          WHERE b.room_nid = c.room_nid AND b.type = 'm.room.member' AND b.state_key = $1
            AND b.stream_pos <= $3), 0)
      UNION
      SELECT unnest($2::bigint[]) FROM reader_cursors
      WHERE reader = '${stateChangesCursor}' AND position > $3`,
    values: [userId, roomNids, position],
  });
  return rows.map((row) => row.room_nid);
};

/** Members of a room who have been in it since before a position. */
export const membersSinceBefore = async (
  db: Db,
  roomNid: number,
  position: number,
): Promise<UserId[]> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    name: 'members-since-before',
    text: `SELECT c.state_key AS user_id FROM current_state c
      JOIN user_rooms u ON u.user_id = c.state_key AND u.room_nid = c.room_nid
      WHERE c.room_nid = $1 AND c.type = 'm.room.member' AND c.membership = 'join'
        AND u.membership_pos < $2`,
    values: [roomNid, position],
  });
  return rows.map((row) => row.user_id);
};

/** The position of a user's newest device change: 0 before the first. */
export const devicesPosOf = async (db: Db, userId: UserId): Promise<number> => {
  const { rows } = await db.query<{ devices_pos: number }>({
    text: 'SELECT devices_pos FROM device_list_users WHERE user_id = $1',
    values: [userId],
  });
  return rows[0]?.devices_pos ?? 0;
};

export interface UnloggedChange {
  readonly changeNo: number;
  readonly userId: UserId;
  readonly deviceId: string;
}

export const addUnloggedChanges = async (
  tx: Tx,
  userId: UserId,
  deviceIds: readonly string[],
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO unlogged_device_changes (user_id, device_id)
      SELECT $1, unnest($2::text[])`,
    values: [userId, deviceIds],
  });
};

export const unloggedChanges = async (db: Db, limit: number): Promise<UnloggedChange[]> => {
  const { rows } = await db.query<{ change_no: number; user_id: UserId; device_id: string }>({
    name: 'unlogged-changes',
    text: `SELECT change_no, user_id, device_id FROM unlogged_device_changes
      ORDER BY change_no LIMIT $1`,
    values: [limit],
  });
  return rows.map((row) => ({
    changeNo: row.change_no,
    userId: row.user_id,
    deviceId: row.device_id,
  }));
};

export const unloggedChangeDeletion = (changeNo: number): Statement => ({
  name: 'delete-unlogged-change',
  text: 'DELETE FROM unlogged_device_changes WHERE change_no = $1',
  values: [changeNo],
});
