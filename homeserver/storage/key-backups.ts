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
}

interface BackupRecord {
  version: number;
  algorithm: string;
  auth_data: string;
  etag: number;
  deleted: boolean;
}

const columns = 'version, algorithm, auth_data, etag, deleted';

const toBackup = (row: BackupRecord): KeyBackupRow => ({
  version: row.version,
  algorithm: row.algorithm,
  authData: row.auth_data,
  etag: row.etag,
  deleted: row.deleted,
});

export const addKeyBackup = async (
  tx: Tx,
  userId: UserId,
  algorithm: string,
  authData: string,
): Promise<number> => {
  // Two at the same moment would choose the same number.
  await tx.query({
    text: `SELECT pg_advisory_xact_lock(hashtextextended('key backup ' || $1, 0))`,
    values: [userId],
  });
  const { rows } = await tx.query<{ version: number }>({
    text: `INSERT INTO key_backups (user_id, version, algorithm, auth_data)
      SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM key_backups WHERE user_id = $1
      RETURNING version`,
    values: [userId, algorithm, authData],
  });
  return (rows[0] as { version: number }).version;
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
    text: 'UPDATE key_backups SET deleted = true WHERE user_id = $1 AND version = $2',
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

/**
 * Stores keys, where they are better than what is there:
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups. How many were stored.
 */
export const putBackupKeys = async (
  tx: Tx,
  userId: UserId,
  version: number,
  keys: readonly BackupKeyRow[],
): Promise<number> => {
  const { rowCount } = await tx.query({
    name: 'put-backup-keys',
    text: `INSERT INTO key_backup_keys AS kept (user_id, version, room_id, session_id,
        first_message_index, forwarded_count, is_verified, session_data)
      SELECT $1, $2, k.* FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[],
        $7::boolean[], $8::text[]) AS k
      ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE
        SET first_message_index = EXCLUDED.first_message_index,
          forwarded_count = EXCLUDED.forwarded_count, is_verified = EXCLUDED.is_verified,
          session_data = EXCLUDED.session_data
        WHERE (NOT EXCLUDED.is_verified, EXCLUDED.first_message_index, EXCLUDED.forwarded_count)
          < (NOT kept.is_verified, kept.first_message_index, kept.forwarded_count)`,
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
  return rowCount;
};

export const backupKeys = async (
  db: Db,
  userId: UserId,
  version: number,
  scope: BackupScope,
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
      FROM key_backup_keys WHERE ${scoped}`,
    values: scopeValues(userId, version, scope),
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

/** How many there were. */
export const deleteBackupKeys = async (
  tx: Tx,
  userId: UserId,
  version: number,
  scope: BackupScope,
): Promise<number> => {
  const { rowCount } = await tx.query({
    name: 'delete-backup-keys',
    text: `DELETE FROM key_backup_keys WHERE ${scoped}`,
    values: scopeValues(userId, version, scope),
  });
  return rowCount;
};

export const countBackupKeys = async (db: Db, userId: UserId, version: number): Promise<number> => {
  const { rows } = await db.query<{ count: number }>({
    name: 'count-backup-keys',
    text: 'SELECT count(*) AS count FROM key_backup_keys WHERE user_id = $1 AND version = $2',
    values: [userId, version],
  });
  return rows[0]?.count ?? 0;
};

/** The new etag. */
export const raiseBackupEtag = async (tx: Tx, userId: UserId, version: number): Promise<number> => {
  const { rows } = await tx.query<{ etag: number }>({
    name: 'raise-backup-etag',
    text: `UPDATE key_backups SET etag = etag + 1 WHERE user_id = $1 AND version = $2
      RETURNING etag`,
    values: [userId, version],
  });
  return (rows[0] as { etag: number }).etag;
};
