/**
 * Backups of room keys, encrypted by clients.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Database, Tx } from '../storage/database.ts';
import {
  addKeyBackup,
  type BackupKeyRow,
  type BackupScope,
  backupKeys,
  countBackupKeys,
  deleteBackupKeys,
  type KeyBackupRow,
  keyBackup,
  lockKeyBackup,
  markBackupDeleted,
  putBackupKeys,
  raiseBackupEtag,
  setBackupAuthData,
} from '../storage/key-backups.ts';

export type { BackupKeyRow, BackupScope } from '../storage/key-backups.ts';

export interface BackupState {
  readonly count: number;
  readonly etag: string;
}

export interface BackupInfo extends BackupState {
  readonly algorithm: string;
  readonly auth_data: JsonValue;
  readonly version: string;
}

const unknownVersion = () => matrixError('M_NOT_FOUND', 'Unknown backup version');

/** Versions are numbers, opaque to clients. */
const numberOf = (version: string): number => {
  if (!/^[1-9]\d{0,14}$/.test(version)) throw unknownVersion();
  return Number(version);
};

export class KeyBackups {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async create(userId: UserId, algorithm: string, authData: JsonValue): Promise<string> {
    const version = await this.#db.transaction((tx) =>
      addKeyBackup(tx, userId, algorithm, JSON.stringify(authData)),
    );
    return String(version);
  }

  /** The newest backup unless a version is given. @throws MatrixError M_NOT_FOUND */
  async info(userId: UserId, version: string | undefined): Promise<BackupInfo> {
    const backup = await this.#live(userId, version);
    return {
      algorithm: backup.algorithm,
      auth_data: JSON.parse(backup.authData) as JsonValue,
      version: String(backup.version),
      ...(await this.#stateOf(this.#db, userId, backup)),
    };
  }

  /** @throws MatrixError M_NOT_FOUND, M_INVALID_PARAM */
  async setAuthData(
    userId: UserId,
    version: string,
    algorithm: string,
    authData: JsonValue,
  ): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const backup = await lockKeyBackup(tx, userId, numberOf(version));
      if (backup === undefined || backup.deleted) throw unknownVersion();
      if (backup.algorithm !== algorithm) {
        throw matrixError('M_INVALID_PARAM', 'The algorithm of a backup cannot change');
      }
      await setBackupAuthData(tx, userId, backup.version, JSON.stringify(authData));
    });
  }

  /** Also when it was deleted before. @throws MatrixError M_NOT_FOUND */
  async delete(userId: UserId, version: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const backup = await lockKeyBackup(tx, userId, numberOf(version));
      if (backup === undefined) throw unknownVersion();
      await markBackupDeleted(tx, userId, backup.version);
    });
  }

  /** Only into the newest version. @throws MatrixError M_NOT_FOUND, M_WRONG_ROOM_KEYS_VERSION */
  async putKeys(
    userId: UserId,
    version: string,
    keys: readonly BackupKeyRow[],
  ): Promise<BackupState> {
    return this.#db.transaction(async (tx) => {
      const current = await keyBackup(tx, userId, undefined);
      if (current === undefined) throw unknownVersion();
      if (String(current.version) !== version) {
        throw matrixError('M_WRONG_ROOM_KEYS_VERSION', 'This is not the newest backup', {
          current_version: String(current.version),
        });
      }
      await this.#locked(tx, userId, version);
      const stored = keys.length === 0 ? 0 : await putBackupKeys(tx, userId, current.version, keys);
      return this.#changed(tx, userId, current.version, stored);
    });
  }

  /** @throws MatrixError M_NOT_FOUND */
  async keys(userId: UserId, version: string, scope: BackupScope): Promise<BackupKeyRow[]> {
    const backup = await this.#live(userId, version);
    return backupKeys(this.#db, userId, backup.version, scope);
  }

  /** @throws MatrixError M_NOT_FOUND */
  async deleteKeys(userId: UserId, version: string, scope: BackupScope): Promise<BackupState> {
    return this.#db.transaction(async (tx) => {
      const backup = await this.#locked(tx, userId, version);
      const deleted = await deleteBackupKeys(tx, userId, backup.version, scope);
      return this.#changed(tx, userId, backup.version, deleted);
    });
  }

  async #live(userId: UserId, version: string | undefined): Promise<KeyBackupRow> {
    const wanted = version === undefined ? undefined : numberOf(version);
    const backup = await keyBackup(this.#db, userId, wanted);
    if (backup === undefined || backup.deleted) {
      throw version === undefined
        ? matrixError('M_NOT_FOUND', 'No current backup version')
        : unknownVersion();
    }
    return backup;
  }

  async #locked(tx: Tx, userId: UserId, version: string): Promise<KeyBackupRow> {
    const backup = await lockKeyBackup(tx, userId, numberOf(version));
    if (backup === undefined || backup.deleted) throw unknownVersion();
    return backup;
  }

  async #changed(tx: Tx, userId: UserId, version: number, rows: number): Promise<BackupState> {
    if (rows > 0) await raiseBackupEtag(tx, userId, version);
    const backup = (await keyBackup(tx, userId, version)) as KeyBackupRow;
    return this.#stateOf(tx, userId, backup);
  }

  async #stateOf(
    db: Parameters<typeof countBackupKeys>[0],
    userId: UserId,
    { version, etag }: KeyBackupRow,
  ): Promise<BackupState> {
    return { count: await countBackupKeys(db, userId, version), etag: String(etag) };
  }
}
