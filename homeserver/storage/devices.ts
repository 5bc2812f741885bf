/** The table `devices`. */
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface Device {
  readonly deviceId: DeviceId;
  readonly displayName: string | undefined;
  readonly createdAtMs: number;
  readonly lastSeenMs: number | undefined;
  readonly lastSeenIp: string | undefined;
}

interface DeviceRow {
  device_id: DeviceId;
  display_name: string | null;
  created_at_ms: number;
  last_seen_ms: number | null;
  last_seen_ip: string | null;
}

const COLUMNS = 'device_id, display_name, created_at_ms, last_seen_ms, last_seen_ip';

const toDevice = (row: DeviceRow): Device => ({
  deviceId: row.device_id,
  displayName: row.display_name ?? undefined,
  createdAtMs: row.created_at_ms,
  lastSeenMs: row.last_seen_ms ?? undefined,
  lastSeenIp: row.last_seen_ip ?? undefined,
});

/** All of a person's devices, the oldest first. */
export const devicesOf = async (db: Db, userId: UserId): Promise<Device[]> => {
  const { rows } = await db.query<DeviceRow>({
    name: 'devices-of',
    text: `SELECT ${COLUMNS} FROM devices WHERE user_id = $1 ORDER BY created_at_ms, device_id`,
    values: [userId],
  });
  return rows.map(toDevice);
};

export const deviceById = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
): Promise<Device | undefined> => {
  const { rows } = await db.query<DeviceRow>({
    name: 'device-by-id',
    text: `SELECT ${COLUMNS} FROM devices WHERE user_id = $1 AND device_id = $2`,
    values: [userId, deviceId],
  });
  return rows[0] && toDevice(rows[0]);
};

/** Nobody else changes the device or its tokens until the transaction ends. `false`: no device. */
export const lockDevice = async (tx: Tx, userId: UserId, deviceId: DeviceId): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'SELECT 1 FROM devices WHERE user_id = $1 AND device_id = $2 FOR UPDATE',
    values: [userId, deviceId],
  });
  return rowCount === 1;
};

/** Makes the device unless it exists; then its display name stays. Whether it was made. */
export const ensureDevice = async (
  tx: Tx,
  userId: UserId,
  deviceId: DeviceId,
  displayName: string | undefined,
  nowMs: number,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `INSERT INTO devices (user_id, device_id, display_name, created_at_ms)
      VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, device_id) DO NOTHING`,
    values: [userId, deviceId, displayName ?? null, nowMs],
  });
  return rowCount === 1;
};

/** `false` when there is no such device. */
export const renameDevice = async (
  tx: Tx,
  userId: UserId,
  deviceId: DeviceId,
  displayName: string,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'UPDATE devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2',
    values: [userId, deviceId, displayName],
  });
  return rowCount === 1;
};

/** Beside this device, those beyond the `kept` that were seen or made last. */
export const devicesBeyond = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  kept: number,
): Promise<DeviceId[]> => {
  const { rows } = await db.query<{ device_id: DeviceId }>({
    name: 'devices-beyond',
    text: `SELECT device_id FROM devices WHERE user_id = $1 AND device_id <> $2
      ORDER BY greatest(last_seen_ms, created_at_ms) DESC, device_id OFFSET $3`,
    values: [userId, deviceId, kept],
  });
  return rows.map((row) => row.device_id);
};

/**
 * Everybody's devices in order of their key, after `after`, and whether each was last seen before
 * `beforeMs`. Those of application services never are: whoever acts for them is not noted.
 */
export const devicesAfter = async (
  db: Db,
  after: readonly [userId: string, deviceId: string] | undefined,
  beforeMs: number,
  limit: number,
): Promise<{ userId: UserId; deviceId: DeviceId; isUnseen: boolean }[]> => {
  const { rows } = await db.query<{ user_id: UserId; device_id: DeviceId; unseen: boolean }>({
    name: 'devices-after',
    text: `SELECT d.user_id, d.device_id,
        greatest(d.last_seen_ms, d.created_at_ms) < $3 AND u.appservice_id IS NULL AS unseen
      FROM (
        SELECT * FROM devices WHERE (user_id, device_id) > ($1, $2)
        ORDER BY user_id, device_id LIMIT $4
      ) d LEFT JOIN users u USING (user_id) ORDER BY d.user_id, d.device_id`,
    values: [after?.[0] ?? '', after?.[1] ?? '', beforeMs, limit],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    deviceId: row.device_id,
    isUnseen: row.unseen,
  }));
};

/** The ids of those deleted: devices that did not exist are not among them. */
export const deleteDevices = async (
  tx: Tx,
  userId: UserId,
  deviceIds: readonly DeviceId[],
): Promise<DeviceId[]> => {
  const { rows } = await tx.query<{ device_id: DeviceId }>({
    text: `DELETE FROM devices WHERE user_id = $1 AND device_id = ANY($2::text[])
      RETURNING device_id`,
    values: [userId, deviceIds],
  });
  return rows.map((row) => row.device_id);
};

/** Where and when a device was last seen. */
export interface Sighting {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly atMs: number;
  readonly ip: string;
  readonly userAgent: string | undefined;
}

/** One statement for any number of devices; those that are gone are left out. */
export const recordSightings = async (tx: Tx, sightings: readonly Sighting[]): Promise<void> => {
  await tx.query({
    name: 'devices-seen',
    text: `UPDATE devices AS d
      SET last_seen_ms = s.at_ms, last_seen_ip = s.ip, last_seen_user_agent = s.user_agent
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
        AS s (user_id, device_id, at_ms, ip, user_agent)
      WHERE d.user_id = s.user_id AND d.device_id = s.device_id`,
    values: [
      sightings.map((sighting) => sighting.userId),
      sightings.map((sighting) => sighting.deviceId),
      sightings.map((sighting) => sighting.atMs),
      sightings.map((sighting) => sighting.ip),
      sightings.map((sighting) => sighting.userAgent ?? null),
    ],
  });
};
