/** The tables `device_keys`, `one_time_keys` and `fallback_keys`: keys of this server's devices. */
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Db, Statement, Tx } from './database.ts';

/** A device that has identity keys. */
export interface DeviceWithKeys {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  /** JSON, as uploaded. */
  readonly keys: string;
  readonly displayName: string | undefined;
}

/** By user; all of a user's devices where the list is empty. Those without keys are left out. */
export const devicesWithKeys = async (
  db: Db,
  wanted: ReadonlyMap<UserId, readonly string[]>,
): Promise<DeviceWithKeys[]> => {
  const pairs = [...wanted].flatMap(([userId, deviceIds]) =>
    (deviceIds.length === 0 ? [null] : [...new Set(deviceIds)]).map((deviceId) => ({
      userId,
      deviceId,
    })),
  );
  const { rows } = await db.query<{
    user_id: UserId;
    device_id: DeviceId;
    keys: string;
    display_name: string | null;
  }>({
    name: 'devices-with-keys',
    text: `SELECT k.user_id, k.device_id, k.keys, d.display_name
      FROM unnest($1::text[], $2::text[]) AS w (user_id, device_id)
      JOIN device_keys k ON k.user_id = w.user_id
        AND (w.device_id IS NULL OR k.device_id = w.device_id)
      JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id`,
    values: [pairs.map(({ userId }) => userId), pairs.map(({ deviceId }) => deviceId)],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    deviceId: row.device_id,
    keys: row.keys,
    displayName: row.display_name ?? undefined,
  }));
};

/** Devices that exist, with or without keys. */
export const devicesAmong = async (
  db: Db,
  pairs: readonly { readonly userId: UserId; readonly deviceId: string }[],
): Promise<(Omit<DeviceWithKeys, 'keys'> & { readonly keys: string | undefined })[]> => {
  const { rows } = await db.query<{
    user_id: UserId;
    device_id: DeviceId;
    keys: string | null;
    display_name: string | null;
  }>({
    name: 'devices-among',
    text: `SELECT d.user_id, d.device_id, k.keys, d.display_name
      FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])) AS w (user_id, device_id)
      JOIN devices d ON d.user_id = w.user_id AND d.device_id = w.device_id
      LEFT JOIN device_keys k ON k.user_id = d.user_id AND k.device_id = d.device_id`,
    values: [pairs.map(({ userId }) => userId), pairs.map(({ deviceId }) => deviceId)],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    deviceId: row.device_id,
    keys: row.keys ?? undefined,
    displayName: row.display_name ?? undefined,
  }));
};

/** Those of these users who have an account. */
export const accountsAmong = async (db: Db, userIds: readonly UserId[]): Promise<UserId[]> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    name: 'accounts-among',
    text: 'SELECT user_id FROM users WHERE user_id = ANY($1::text[])',
    values: [userIds],
  });
  return rows.map((row) => row.user_id);
};

/** The device may have gone meanwhile: then nothing is written. */
/** Nothing for a device that is gone. */
export const deviceKeysUpsert = (userId: UserId, deviceId: DeviceId, keys: string): Statement => ({
  name: 'put-device-keys',
  text: `INSERT INTO device_keys (user_id, device_id, keys)
    SELECT user_id, device_id, $3 FROM devices WHERE user_id = $1 AND device_id = $2
    ON CONFLICT (user_id, device_id) DO UPDATE SET keys = EXCLUDED.keys`,
  values: [userId, deviceId, keys],
});

export interface AlgorithmKey {
  readonly algorithm: string;
  readonly keyId: string;
  /** JSON. */
  readonly key: string;
}

interface KeyRecord {
  algorithm: string;
  key_id: string;
  key: string;
}

/** Those of the given one-time keys that are there already. */
export const oneTimeKeysAmong = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  keys: readonly AlgorithmKey[],
): Promise<AlgorithmKey[]> => {
  const { rows } = await db.query<KeyRecord>({
    name: 'one-time-keys-among',
    text: `SELECT k.algorithm, k.key_id, k.key
      FROM unnest($3::text[], $4::text[]) AS w (algorithm, key_id)
      JOIN one_time_keys k ON k.user_id = $1 AND k.device_id = $2
        AND k.algorithm = w.algorithm AND k.key_id = w.key_id`,
    values: [
      userId,
      deviceId,
      keys.map(({ algorithm }) => algorithm),
      keys.map(({ keyId }) => keyId),
    ],
  });
  return rows.map(({ algorithm, key_id: keyId, key }) => ({ algorithm, keyId, key }));
};

/** Behind all that were uploaded before. Keys that are there are left as they are. */
export const addOneTimeKeys = async (
  tx: Tx,
  userId: UserId,
  deviceId: DeviceId,
  keys: readonly AlgorithmKey[],
): Promise<void> => {
  await tx.query({
    name: 'add-one-time-keys',
    text: `INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key, upload_no)
      SELECT d.user_id, d.device_id, k.algorithm, k.key_id, k.key, u.no
      FROM devices d, (SELECT nextval('one_time_key_uploads') AS no) u,
        unnest($3::text[], $4::text[], $5::text[]) AS k (algorithm, key_id, key)
      WHERE d.user_id = $1 AND d.device_id = $2
      ON CONFLICT DO NOTHING`,
    values: [
      userId,
      deviceId,
      keys.map(({ algorithm }) => algorithm),
      keys.map(({ keyId }) => keyId),
      keys.map(({ key }) => key),
    ],
  });
};

/** A fallback key that is uploaded again keeps its mark of having been used. */
export const putFallbackKeys = async (
  tx: Tx,
  userId: UserId,
  deviceId: DeviceId,
  keys: readonly AlgorithmKey[],
): Promise<void> => {
  await tx.query({
    name: 'put-fallback-keys',
    text: `INSERT INTO fallback_keys AS kept (user_id, device_id, algorithm, key_id, key)
      SELECT d.user_id, d.device_id, k.algorithm, k.key_id, k.key
      FROM devices d, unnest($3::text[], $4::text[], $5::text[]) AS k (algorithm, key_id, key)
      WHERE d.user_id = $1 AND d.device_id = $2
      ON CONFLICT (user_id, device_id, algorithm) DO UPDATE
        SET key_id = EXCLUDED.key_id, key = EXCLUDED.key, used = false
        WHERE (kept.key_id, kept.key) <> (EXCLUDED.key_id, EXCLUDED.key)`,
    values: [
      userId,
      deviceId,
      keys.map(({ algorithm }) => algorithm),
      keys.map(({ keyId }) => keyId),
      keys.map(({ key }) => key),
    ],
  });
};

export interface KeySupply {
  /** One-time keys left, by algorithm. */
  readonly counts: Readonly<Record<string, number>>;
  readonly unusedFallbackTypes: readonly string[];
  /** How many algorithms have a fallback key, used or not. */
  readonly fallbackTypes: number;
}

export interface DeviceKey {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
}

interface SupplyRecord {
  place: number;
  algorithm: string;
  count: number | null;
  used: boolean | null;
}

/** Of each of these devices; one without keys has a supply of none. */
export const keySupplies = async <Key extends DeviceKey>(
  db: Db,
  devices: readonly Key[],
): Promise<Map<Key, KeySupply>> => {
  const { rows } = await db.query<SupplyRecord>({
    name: 'key-supplies',
    text: `WITH wanted AS (
        SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY
          AS w (user_id, device_id, place)
      )
      SELECT w.place, k.algorithm, k.count, NULL AS used FROM wanted w CROSS JOIN LATERAL (
          SELECT algorithm, count(*) AS count FROM one_time_keys o
          WHERE o.user_id = w.user_id AND o.device_id = w.device_id GROUP BY algorithm
        ) k
      UNION ALL
      SELECT w.place, f.algorithm, NULL, f.used FROM wanted w
        JOIN fallback_keys f ON f.user_id = w.user_id AND f.device_id = w.device_id
      ORDER BY algorithm`,
    values: [devices.map(({ userId }) => userId), devices.map(({ deviceId }) => deviceId)],
  });
  const byDevice: SupplyRecord[][] = devices.map(() => []);
  for (const row of rows) byDevice[row.place - 1]?.push(row);
  return new Map(devices.map((device, index) => [device, supplyFrom(byDevice[index] ?? [])]));
};

export const keySupplyOf = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
): Promise<KeySupply> => {
  const [supply] = (await keySupplies(db, [{ userId, deviceId }])).values();
  return supply as KeySupply;
};

const supplyFrom = (rows: readonly SupplyRecord[]): KeySupply => {
  const counts: [string, number][] = [];
  const unusedFallbackTypes: string[] = [];
  let fallbackTypes = 0;
  for (const { algorithm, count, used } of rows) {
    if (count !== null) counts.push([algorithm, count]);
    else fallbackTypes++;
    if (used === false) unusedFallbackTypes.push(algorithm);
  }
  return { counts: Object.fromEntries(counts), unusedFallbackTypes, fallbackTypes };
};

export interface KeyClaim {
  readonly userId: UserId;
  readonly deviceId: string;
  readonly algorithm: string;
}

export interface ClaimedKey extends KeyClaim, AlgorithmKey {}

type ClaimedRecord = KeyRecord & { user_id: UserId; device_id: string };

const toClaimed = (row: ClaimedRecord): ClaimedKey => ({
  userId: row.user_id,
  deviceId: row.device_id,
  algorithm: row.algorithm,
  keyId: row.key_id,
  key: row.key,
});

const claimValues = (claims: readonly KeyClaim[]): string[][] => [
  claims.map(({ userId }) => userId),
  claims.map(({ deviceId }) => deviceId),
  claims.map(({ algorithm }) => algorithm),
];

/**
 * Takes the oldest one-time key for each claim: nobody else gets it. A key that another claim is
 * taking at this moment is passed over. Uses index one_time_keys_order.
 */
export const takeOneTimeKeys = async (
  tx: Tx,
  claims: readonly KeyClaim[],
): Promise<ClaimedKey[]> => {
  const { rows } = await tx.query<ClaimedRecord>({
    name: 'take-one-time-keys',
    text: `WITH picked AS MATERIALIZED (
        SELECT k.user_id, k.device_id, k.algorithm, k.key_id
        FROM unnest($1::text[], $2::text[], $3::text[]) AS w (user_id, device_id, algorithm)
        CROSS JOIN LATERAL (
          SELECT user_id, device_id, algorithm, key_id FROM one_time_keys o
          WHERE o.user_id = w.user_id AND o.device_id = w.device_id
            AND o.algorithm = w.algorithm
          ORDER BY upload_no LIMIT 1 FOR UPDATE SKIP LOCKED
        ) k
      )
      DELETE FROM one_time_keys d USING picked p
      WHERE d.user_id = p.user_id AND d.device_id = p.device_id
        AND d.algorithm = p.algorithm AND d.key_id = p.key_id
      RETURNING d.user_id, d.device_id, d.algorithm, d.key_id, d.key`,
    values: claimValues(claims),
  });
  return rows.map(toClaimed);
};

export const useFallbackKeys = async (
  tx: Tx,
  claims: readonly KeyClaim[],
): Promise<ClaimedKey[]> => {
  const { rows } = await tx.query<ClaimedRecord>({
    name: 'use-fallback-keys',
    text: `UPDATE fallback_keys f SET used = true
      FROM unnest($1::text[], $2::text[], $3::text[]) AS w (user_id, device_id, algorithm)
      WHERE f.user_id = w.user_id AND f.device_id = w.device_id AND f.algorithm = w.algorithm
      RETURNING f.user_id, f.device_id, f.algorithm, f.key_id, f.key`,
    values: claimValues(claims),
  });
  return rows.map(toClaimed);
};

/** Everything of these devices: keys, signatures on them, messages, transactions. */
export const deleteKeysOfDevices = async (
  tx: Tx,
  userId: UserId,
  deviceIds: readonly DeviceId[],
): Promise<void> => {
  for (const table of ['device_keys', 'one_time_keys', 'fallback_keys', 'to_device_messages']) {
    await tx.query({
      text: `DELETE FROM ${table} WHERE user_id = $1 AND device_id = ANY($2::text[])`,
      values: [userId, deviceIds],
    });
  }
  await tx.query({
    text: 'DELETE FROM key_signatures WHERE user_id = $1 AND target = ANY($2::text[])',
    values: [userId, deviceIds],
  });
};
