/** The tables `remote_device_lists` and `remote_devices`: what is known of other servers' devices. */
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { DeviceWithKeys } from './device-keys.ts';
import type { Walk } from './walk.ts';

export interface RemoteDeviceRow {
  readonly deviceId: string;
  readonly displayName: string | undefined;
  /** JSON. */
  readonly keys: string;
}

/**
 * Those of these users whose list here can be believed: it is complete, and some room that `viewer`
 * and the user share was shared before it was fetched, so that every change since has come here.
 */
export const followedLists = async (
  db: Db,
  viewer: UserId,
  userIds: readonly UserId[],
): Promise<Set<UserId>> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    name: 'followed-device-lists',
    text: `SELECT l.user_id FROM remote_device_lists l
      WHERE l.user_id = ANY($2::text[]) AND NOT l.stale AND EXISTS (
        SELECT 1 FROM user_rooms theirs JOIN user_rooms mine USING (room_nid)
        WHERE theirs.user_id = l.user_id AND theirs.membership = 'join'
          AND mine.user_id = $1 AND mine.membership = 'join'
          AND greatest(theirs.membership_pos, mine.membership_pos) <= l.synced_pos)`,
    values: [viewer, userIds],
  });
  return new Set(rows.map((row) => row.user_id));
};

export const remoteListOf = async (
  db: Db,
  userId: UserId,
): Promise<{ readonly streamId: number; readonly stale: boolean } | undefined> => {
  const { rows } = await db.query<{ stream_id: number; stale: boolean }>({
    name: 'remote-device-list',
    text: 'SELECT stream_id, stale FROM remote_device_lists WHERE user_id = $1',
    values: [userId],
  });
  const [row] = rows;
  return row && { streamId: row.stream_id, stale: row.stale };
};

export const remoteDevicesOf = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<DeviceWithKeys[]> => {
  const { rows } = await db.query<{
    user_id: UserId;
    device_id: DeviceId;
    display_name: string | null;
    keys: string;
  }>({
    name: 'remote-devices-of',
    text: `SELECT user_id, device_id, display_name, keys FROM remote_devices
      WHERE user_id = ANY($1::text[])`,
    values: [userIds],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    deviceId: row.device_id,
    keys: row.keys,
    displayName: row.display_name ?? undefined,
  }));
};

export const replaceRemoteList = async (
  tx: Tx,
  userId: UserId,
  list: {
    readonly streamId: number;
    readonly syncedPos: number;
    readonly devices: readonly RemoteDeviceRow[];
  },
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO remote_device_lists (user_id, stream_id, synced_pos) VALUES ($1, $2, $3)
      ON CONFLICT (user_id) DO UPDATE
        SET stream_id = EXCLUDED.stream_id, synced_pos = EXCLUDED.synced_pos, stale = false,
          failure_count = 0`,
    values: [userId, list.streamId, list.syncedPos],
  });
  await tx.query({ text: 'DELETE FROM remote_devices WHERE user_id = $1', values: [userId] });
  await tx.query({
    text: `INSERT INTO remote_devices (user_id, device_id, display_name, keys)
      SELECT $1, d.* FROM unnest($2::text[], $3::text[], $4::text[]) AS d
      ON CONFLICT DO NOTHING`,
    values: [
      userId,
      list.devices.map(({ deviceId }) => deviceId),
      list.devices.map(({ displayName }) => displayName ?? null),
      list.devices.map(({ keys }) => keys),
    ],
  });
};

/**
 * One step further; `device` without keys is gone. False, with nothing changed, where the list would
 * have more than it may.
 */
export const moveRemoteList = async (
  tx: Tx,
  userId: UserId,
  streamId: number,
  device: Omit<RemoteDeviceRow, 'keys'> & { readonly keys: string | undefined },
  max: { readonly devices: number; readonly bytes: number },
): Promise<boolean> => {
  // Of one list one update at a time.
  await tx.query({
    text: 'UPDATE remote_device_lists SET stream_id = $2 WHERE user_id = $1',
    values: [userId, streamId],
  });
  if (device.keys === undefined) {
    await tx.query({
      text: 'DELETE FROM remote_devices WHERE user_id = $1 AND device_id = $2',
      values: [userId, device.deviceId],
    });
    return true;
  }
  const { rows } = await tx.query({
    text: `INSERT INTO remote_devices (user_id, device_id, display_name, keys)
      SELECT $1::text, $2::text, $3::text, $4::text FROM (
        SELECT count(*) AS devices, coalesce(sum(octet_length(keys)), 0) AS bytes
        FROM remote_devices WHERE user_id = $1 AND device_id <> $2
      ) others
      WHERE devices < $5::int AND bytes + octet_length($4::text) <= $6::int
      ON CONFLICT (user_id, device_id) DO UPDATE
        SET display_name = EXCLUDED.display_name, keys = EXCLUDED.keys
      RETURNING 1`,
    values: [
      ...[userId, device.deviceId, device.displayName ?? null, device.keys],
      ...[max.devices, max.bytes],
    ],
  });
  return rows.length > 0;
};

/** A list already stale keeps the time of its next try. */
export const markRemoteListStale = async (
  db: Db,
  userId: UserId,
  retryAtMs: number,
): Promise<void> => {
  await db.query({
    text: `UPDATE remote_device_lists SET stale = true, retry_at_ms = $2, failure_count = 0
      WHERE user_id = $1 AND NOT stale`,
    values: [userId, retryAtMs],
  });
};

export interface StaleList {
  readonly userId: UserId;
  /** Tries in a row that failed. */
  readonly failureCount: number;
}

/** Stale lists whose time has come, those that have waited longest first. Index …_retry. */
export const staleListsDue = async (db: Db, nowMs: number, limit: number): Promise<StaleList[]> => {
  const { rows } = await db.query<{ user_id: UserId; failure_count: number }>({
    text: `SELECT user_id, failure_count FROM remote_device_lists
      WHERE stale AND retry_at_ms <= $1 ORDER BY retry_at_ms LIMIT $2`,
    values: [nowMs, limit],
  });
  return rows.map((row) => ({ userId: row.user_id, failureCount: row.failure_count }));
};

export const putOffStaleList = async (
  db: Db,
  { userId, failureCount }: StaleList,
  retryAtMs: number,
): Promise<void> => {
  await db.query({
    text: `UPDATE remote_device_lists SET retry_at_ms = $2, failure_count = $3
      WHERE user_id = $1 AND stale`,
    values: [userId, retryAtMs, failureCount],
  });
};

/** Nobody asks for it any more: it is fetched anew when somebody does. */
export const forgetRemoteList = async (tx: Tx, userId: UserId): Promise<void> => {
  await tx.query({ text: 'DELETE FROM remote_devices WHERE user_id = $1', values: [userId] });
  await tx.query({ text: 'DELETE FROM remote_device_lists WHERE user_id = $1', values: [userId] });
};

/** SQL: whether the user of a row `t` shares a room with anyone here. */
const isMet = `EXISTS (SELECT FROM user_rooms u JOIN open_rooms o USING (room_nid)
  WHERE u.user_id = t.user_id AND u.membership = 'join' AND o.present)`;

/** Of people whom nobody here meets any more, fetched up to `beforePos`. */
export const unmetDeviceLists: Walk = {
  table: 'remote_device_lists',
  key: [['user_id', 'text']],
  gone: `t.synced_pos <= :beforePos AND NOT ${isMet}`,
};

/** Of lists that have gone. */
export const unlistedRemoteDevices: Walk = {
  table: 'remote_devices',
  key: [
    ['user_id', 'text'],
    ['device_id', 'text'],
  ],
  gone: 'NOT EXISTS (SELECT FROM remote_device_lists l WHERE l.user_id = t.user_id)',
};

/** Of people of other servers whose device lists have gone. */
export const unlistedCrossSigningKeys: Walk = {
  table: 'cross_signing_keys',
  key: [
    ['user_id', 'text'],
    ['usage', 'text'],
  ],
  gone: `NOT EXISTS (SELECT FROM users k WHERE k.user_id = t.user_id)
    AND NOT EXISTS (SELECT FROM remote_device_lists l WHERE l.user_id = t.user_id)`,
};

/** Changes, up to `beforePos`, of people of other servers whom nobody here meets any more. */
export const unmetDeviceListUsers: Walk = {
  table: 'device_list_users',
  key: [['user_id', 'text']],
  gone: `t.stream_pos <= :beforePos AND NOT ${isMet}
    AND NOT EXISTS (SELECT FROM users k WHERE k.user_id = t.user_id)`,
};
