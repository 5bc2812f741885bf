/** The tables `key_backups` and `key_backup_keys`. Versions of a person's backups count up. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface KeyBackupRow {
  readonly version: number;
  readonly algorithm: string;
  /** JSON. */
  readonly authData: string;
  readonly etag: number;
  readonly deleted: boolean;
  /** How many keys it holds. */
  readonly keyCount: number;
}

interface BackupRecord {
  version: number;
  algorithm: string;
  auth_data: string;
  etag: number;
  deleted: boolean;
  key_count: number;
}

const columns = 'version, algorithm, auth_data, etag, deleted, key_count';

const toBackup = (row: BackupRecord): KeyBackupRow => ({
  version: row.version,
  algorithm: row.algorithm,
  authData: row.auth_data,
  etag: row.etag,
  deleted: row.deleted,
  keyCount: row.key_count,
});

/**
 * The number of the new backup; `undefined` when there are `maxVersions` that are not deleted. Of
 * those that are, only the newest `keptDeleted` stay known.
 */
export const addKeyBackup = async (
  tx: Tx,
  userId: UserId,
  algorithm: string,
  authData: string,
  { maxVersions, keptDeleted }: { readonly maxVersions: number; readonly keptDeleted: number },
): Promise<number | undefined> => {
  // Two at the same moment would choose the same number.
  await tx.query({
    text: `SELECT pg_advisory_xact_lock(hashtextextended('key backup ' || $1, 0))`,
    values: [userId],
  });
  const { rows } = await tx.query<{ version: number }>({
    text: `INSERT INTO key_backups (user_id, version, algorithm, auth_data)
      SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM key_backups WHERE user_id = $1
      HAVING count(*) FILTER (WHERE NOT deleted) < $4
      RETURNING version`,
    values: [userId, algorithm, authData, maxVersions],
  });
  await tx.query({
    text: `DELETE FROM key_backups WHERE user_id = $1 AND version IN (
      SELECT version FROM key_backups WHERE user_id = $1 AND deleted
      ORDER BY version DESC OFFSET $2)`,
    values: [userId, keptDeleted],
  });
  return rows[0]?.version;
};

/** The newest one that is not deleted, unless a version is given. Then a deleted one counts. */
export const keyBackup = async (
  db: Db,
  userId: UserId,
  version: number | undefined,
): Promise<KeyBackupRow | undefined> => {
  const { rows } = await db.query<BackupRecord>(
    version === undefined
      ? {
          name: 'current-key-backup',
          text: `SELECT ${columns} FROM key_backups WHERE user_id = $1 AND NOT deleted
            ORDER BY version DESC LIMIT 1`,
          values: [userId],
        }
      : {
          name: 'key-backup',
          text: `SELECT ${columns} FROM key_backups WHERE user_id = $1 AND version = $2`,
          values: [userId, version],
        },
  );
  return rows[0] && toBackup(rows[0]);
};

/** Until the transaction ends nobody else changes this backup. */
export const lockKeyBackup = async (
  tx: Tx,
  userId: UserId,
  version: number,
): Promise<KeyBackupRow | undefined> => {
  const { rows } = await tx.query<BackupRecord>({
    name: 'lock-key-backup',
    text: `SELECT ${columns} FROM key_backups WHERE user_id = $1 AND version = $2 FOR UPDATE`,
    values: [userId, version],
  });
  return rows[0] && toBackup(rows[0]);
};

export const setBackupAuthData = async (
  tx: Tx,
  userId: UserId,
  version: number,
  authData: string,
): Promise<void> => {
  await tx.query({
    text: 'UPDATE key_backups SET auth_data = $3 WHERE user_id = $1 AND version = $2',
    values: [userId, version, authData],
  });
};

export const markBackupDeleted = async (tx: Tx, userId: UserId, version: number): Promise<void> => {
  await tx.query({
    text: `UPDATE key_backups SET deleted = true, key_count = 0, key_bytes = 0
      WHERE user_id = $1 AND version = $2`,
    values: [userId, version],
  });
  await deleteBackupKeys(tx, userId, version, {});
};

export interface BackupKeyRow {
  readonly roomId: string;
  readonly sessionId: string;
  readonly firstMessageIndex: number;
  readonly forwardedCount: number;
  readonly isVerified: boolean;
  /** JSON. */
  readonly sessionData: string;
}

/** Where a page of keys ended. */
export type BackupPosition = Pick<BackupKeyRow, 'roomId' | 'sessionId'>;

/** Which keys: all of them, those of a room, or one. */
export interface BackupScope {
  readonly roomId?: string;
  readonly sessionId?: string;
}

const scoped = `user_id = $1 AND version = $2 AND ($3::text IS NULL OR room_id = $3)
  AND ($4::text IS NULL OR session_id = $4)`;

const scopeValues = (userId: UserId, version: number, { roomId, sessionId }: BackupScope) => [
  userId,
  version,
  roomId ?? null,
  sessionId ?? null,
];

/** What a change did to a backup. */
export interface BackupChange {
  /** Keys written or deleted. */
  readonly changed: number;
  readonly addedKeys: number;
  readonly addedBytes: number;
}

interface ChangeRecord {
  changed: number;
  added_keys: number;
  added_bytes: number;
}

const toChange = (row: ChangeRecord | undefined): BackupChange => ({
  changed: row?.changed ?? 0,
  addedKeys: row?.added_keys ?? 0,
  addedBytes: row?.added_bytes ?? 0,
});

/** Of a key: what the bound on a person's backups counts. */
const keyBytes = (row: string): string =>
  `octet_length(${row}.room_id) + octet_length(${row}.session_id) + octet_length(${row}.session_data)`;

/**
 * Stores keys, where they are better than what is there:
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups. The caller holds the
 * backup locked.
 */
export const putBackupKeys = async (
  tx: Tx,
  userId: UserId,
  version: number,
  keys: readonly BackupKeyRow[],
): Promise<BackupChange> => {
  const { rows } = await tx.query<ChangeRecord>({
    name: 'put-backup-keys',
    text: `WITH given AS MATERIALIZED (
        SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[],
            $8::text[]) AS g (room_id, session_id, first_message_index, forwarded_count,
            is_verified, session_data)
      ),
      before AS MATERIALIZED (
        SELECT k.room_id, k.session_id, ${keyBytes('k')} AS bytes
        FROM given g JOIN key_backup_keys k ON k.user_id = $1 AND k.version = $2
          AND k.room_id = g.room_id AND k.session_id = g.session_id
      ),
      stored AS (
      INSERT INTO key_backup_keys AS kept (user_id, version, room_id, session_id,
        first_message_index, forwarded_count, is_verified, session_data)
      SELECT $1, $2, given.* FROM given
      ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE
        SET first_message_index = EXCLUDED.first_message_index,
          forwarded_count = EXCLUDED.forwarded_count, is_verified = EXCLUDED.is_verified,
          session_data = EXCLUDED.session_data
        WHERE (NOT EXCLUDED.is_verified, EXCLUDED.first_message_index, EXCLUDED.forwarded_count)
          < (NOT kept.is_verified, kept.first_message_index, kept.forwarded_count)
      RETURNING kept.room_id, kept.session_id, ${keyBytes('kept')} AS bytes
      )
      SELECT count(*) AS changed, count(*) FILTER (WHERE b.bytes IS NULL) AS added_keys,
        coalesce(sum(s.bytes - coalesce(b.bytes, 0)), 0)::bigint AS added_bytes
      FROM stored s LEFT JOIN before b USING (room_id, session_id)`,
    values: [
      userId,
      version,
      keys.map(({ roomId }) => roomId),
      keys.map(({ sessionId }) => sessionId),
      keys.map(({ firstMessageIndex }) => firstMessageIndex),
      keys.map(({ forwardedCount }) => forwardedCount),
      keys.map(({ isVerified }) => isVerified),
      keys.map(({ sessionData }) => sessionData),
    ],
  });
  return toChange(rows[0]);
};

/** By room, then by session: at most `limit`, behind `after`. Uses the primary key. */
export const backupKeys = async (
  db: Db,
  userId: UserId,
  version: number,
  scope: BackupScope,
  after: BackupPosition | undefined,
  limit: number,
): Promise<BackupKeyRow[]> => {
  const { rows } = await db.query<{
    room_id: string;
    session_id: string;
    first_message_index: number;
    forwarded_count: number;
    is_verified: boolean;
    session_data: string;
  }>({
    name: 'backup-keys',
    text: `SELECT room_id, session_id, first_message_index, forwarded_count, is_verified,
        session_data
      FROM key_backup_keys WHERE ${scoped} AND (room_id, session_id) > ($5, $6)
      ORDER BY room_id, session_id LIMIT $7`,
    values: [
      ...scopeValues(userId, version, scope),
      // Neither is ever empty.
      after?.roomId ?? '',
      after?.sessionId ?? '',
      limit,
    ],
  });
  return rows.map((row) => ({
    roomId: row.room_id,
    sessionId: row.session_id,
    firstMessageIndex: row.first_message_index,
    forwardedCount: row.forwarded_count,
    isVerified: row.is_verified,
    sessionData: row.session_data,
  }));
};

/** The caller holds the backup locked. */
export const deleteBackupKeys = async (
  tx: Tx,
  userId: UserId,
  version: number,
  scope: BackupScope,
): Promise<BackupChange> => {
  const { rows } = await tx.query<ChangeRecord>({
    name: 'delete-backup-keys',
    text: `WITH gone AS (
        DELETE FROM key_backup_keys k WHERE ${scoped} RETURNING ${keyBytes('k')} AS bytes
      )
      SELECT count(*) AS changed, -count(*) AS added_keys,
        -coalesce(sum(bytes), 0)::bigint AS added_bytes
      FROM gone`,
    values: scopeValues(userId, version, scope),
  });
  return toChange(rows[0]);
};

/** Counts a change in, under a new etag. */
export const recordBackupChange = async (
  tx: Tx,
  userId: UserId,
  version: number,
  { addedKeys, addedBytes }: BackupChange,
): Promise<void> => {
  await tx.query({
    name: 'record-backup-change',
    text: `UPDATE key_backups SET etag = etag + 1, key_count = key_count + $3,
        key_bytes = key_bytes + $4
      WHERE user_id = $1 AND version = $2`,
    values: [userId, version, addedKeys, addedBytes],
  });
};

/** What all backups of a person hold. */
export const backupUse = async (
  db: Db,
  userId: UserId,
): Promise<{ readonly keys: number; readonly bytes: number }> => {
  const { rows } = await db.query<{ keys: number; bytes: number }>({
    name: 'backup-use',
    text: `SELECT coalesce(sum(key_count), 0)::bigint AS keys,
        coalesce(sum(key_bytes), 0)::bigint AS bytes
      FROM key_backups WHERE user_id = $1`,
    values: [userId],
  });
  return rows[0] as { keys: number; bytes: number };
};
